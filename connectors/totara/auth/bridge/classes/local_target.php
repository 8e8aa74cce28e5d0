<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * Paths of this site that a sign-on may end at.
 */
final class local_target {
    public const NOWHERE = '/';

    /**
     * The path itself, or null when it could lead out of the site in any reader's eyes.
     *
     * PARAM_LOCALURL alone does not do: it lets "//elsewhere.example" pass as relative to the root.
     */
    public static function check(string $path): ?string {
        // Printable ASCII without space, backslash, quotes and angle brackets; one slash first, and not two.
        if (strlen($path) > 1000 || !preg_match('~\A/(?!/)[!#-;=?-\[\]^_a-z|\~]*\z~', $path)) {
            return null;
        }
        // Control characters, encoded or not, are for splitting headers.
        if (preg_match('/%(?:[01][0-9a-f]|7f)|%(?![0-9a-f]{2})/i', $path)) {
            return null;
        }
        return self::leaves_its_folder(preg_split('/[?#]/', $path)[0]) ? null : $path;
    }

    /**
     * The same for a whole address, such as Totara keeps as the page that was wanted before signing in.
     *
     * @return string a path; "/" when the address is not of this site
     */
    public static function from_address(string $address, string $wwwroot): string {
        if (strpos($address, $wwwroot . '/') !== 0) {
            return self::NOWHERE;
        }
        $path = self::check(substr($address, strlen($wwwroot)));
        // To end at the sign-in pages once more would be a circle.
        return $path === null || preg_match('~\A/(?:login|auth)/~', $path) ? self::NOWHERE : $path;
    }

    /** Dots, slashes and backslashes that are encoded, or folders above: for who decodes once more than we do. */
    private static function leaves_its_folder(string $path): bool {
        return preg_match('~%(?:2e|2f|5c|25)|//|/\.\.?(?:/|\z)~i', $path) === 1;
    }
}
