<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Totara's sessions in small, kept by PHP itself: one file each, locked as long as a request has it.
 */

namespace {
    function start_totara_session(): void {
        session_save_path(SITE . '/sessions');
        session_name('TotaraSession');
        session_start(['use_strict_mode' => 1, 'cookie_httponly' => 1, 'cache_limiter' => '']);
        if (!isset($_SESSION['USER'])) {
            empty_totara_session();
        }
        $GLOBALS['SESSION'] = $_SESSION['SESSION'];
        $GLOBALS['USER'] = $_SESSION['USER'];
    }

    function empty_totara_session(): void {
        $_SESSION = ['SESSION' => new stdClass(), 'USER' => (object) ['id' => 0]];
        $GLOBALS['SESSION'] = $_SESSION['SESSION'];
        $GLOBALS['USER'] = $_SESSION['USER'];
    }

    function isloggedin(): bool {
        global $USER;
        return !empty($USER->id);
    }

    function get_complete_user_data(string $field, $value): stdClass {
        global $DB;
        return $DB->get_record('user', [$field => $value, 'deleted' => 0]);
    }

    /** A new session id, of whose bearer the user is; the old one is good for nothing. */
    function complete_user_login(stdClass $user): void {
        session_regenerate_id(true);
        $_SESSION['USER'] = $user;
        $GLOBALS['USER'] = $_SESSION['USER'];
        note_in_log('core\event\user_loggedin', ['about' => (int) $user->id]);
    }

    /** Totara writes the new, empty session at once, and closes it for this request. */
    function require_logout(): void {
        global $USER;
        note_in_log('core\event\user_loggedout', ['about' => (int) $USER->id]);
        session_regenerate_id(true);
        empty_totara_session();
        session_write_close();
    }
}

namespace core\session {
    final class manager {
        public static function is_loggedinas(): bool {
            return !empty($_SESSION['REALUSER']);
        }

        public static function kill_user_sessions($userid): void {
            \note_in_log('kill_user_sessions', ['about' => (int) $userid]);
        }

        public static function apply_concurrent_login_limit($userid, string $keep): void {
            \note_in_log('apply_concurrent_login_limit', ['about' => (int) $userid, 'keep' => $keep]);
        }
    }
}
