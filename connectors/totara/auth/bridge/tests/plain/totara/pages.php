<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Totara's addresses, texts and redirects in small.
 */

namespace {
    const PARAM_INT = 'int';

    final class moodle_page {
        public function set_context(context $context): void {
        }

        public function set_url(string $path): void {
        }
    }

    final class moodle_url {
        private $address;

        public function __construct(string $address) {
            global $CFG;
            $this->address = strpos($address, '/') === 0 ? $CFG->wwwroot . $address : $address;
        }

        public function __toString(): string {
            return $this->address;
        }
    }

    /** Does not return. */
    function redirect($address): void {
        header("Location: $address", true, 303);
        exit;
    }

    /** While the site's files are newer than its database, every page leads to the upgrade. */
    function redirect_if_major_upgrade_required(): void {
        global $CFG;
        if (!empty($CFG->upgraderunning)) {
            redirect(new moodle_url('/admin/index.php'));
        }
    }

    function optional_param(string $name, $default, string $type) {
        $value = $_POST[$name] ?? $_GET[$name] ?? $default;
        return $type === PARAM_INT ? (int) $value : $value;
    }

    function get_string(string $name, string $component = 'core'): string {
        if ($component !== 'auth_bridge') {
            return ucfirst($name);
        }
        $string = [];
        require SITE . '/auth/bridge/lang/en/auth_bridge.php';
        return $string[$name];
    }

    function s($text): string {
        return htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
    }

    function current_language(): string {
        return 'en';
    }
}

namespace core\output {
    final class flex_icon {
        public $name;

        public function __construct(string $name) {
            $this->name = $name;
        }
    }
}
