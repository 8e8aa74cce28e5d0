<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * Readers that know one spelling of a thing and refuse every other: what two readers could take differently is refused.
 */
final class strict {
    /**
     * The bytes of unpadded base64url text (RFC 7515, section 2).
     *
     * @return string|null null when padded, of another alphabet, or when bits are set that carry nothing
     */
    public static function base64url(string $text): ?string {
        if (!preg_match('/\A[A-Za-z0-9_-]+\z/', $text)) {
            return null;
        }
        $padding = str_repeat('=', (4 - strlen($text) % 4) % 4);
        $bytes = base64_decode(strtr($text, '-_', '+/') . $padding, true);
        // Several texts decode to the same bytes; only the one that these bytes encode to is taken.
        return $bytes !== false && self::to_base64url($bytes) === $text ? $bytes : null;
    }

    public static function to_base64url(string $bytes): string {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }

    /**
     * The members of a flat JSON object: every value a string, a whole number, true, false or null.
     *
     * @return array|null null when it is anything else, holds a name twice, or has something behind it
     */
    public static function flat_object(string $json): ?array {
        if (substr(ltrim($json, " \t\n\r"), 0, 1) !== '{') {
            return null;
        }
        $members = json_decode($json, true, 2);
        if (!is_array($members) || count($members) !== self::count_members($json)) {
            return null;
        }
        foreach ($members as $value) {
            if (is_float($value) || is_array($value)) {
                return null;
            }
        }
        return $members;
    }

    /** How many members valid, flat JSON names: the colons outside its strings. Of a name told twice, json_decode keeps one. */
    private static function count_members(string $json): int {
        return substr_count(preg_replace('/"(?:[^"\\\\]|\\\\.)*+"/s', '', $json), ':');
    }
}
