<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * @package auth_bridge
 */

defined('MOODLE_INTERNAL') || die();

require_once($CFG->libdir . '/authlib.php');

/**
 * Sign-on by a token that the bridge signed. There are no passwords here, neither checked nor kept.
 */
class auth_plugin_bridge extends auth_plugin_base {
    public function __construct() {
        $this->authtype = 'bridge';
        $this->config = get_config('auth_bridge');
    }

    /** Never by name and password: the one way in is login.php of this folder. */
    public function user_login($username, $password) {
        return false;
    }

    public function is_internal() {
        return false;
    }

    public function prevent_local_passwords() {
        return true;
    }

    public function can_change_password() {
        return false;
    }

    public function can_reset_password() {
        return false;
    }

    /** Accounts may be given this method when they are uploaded or made by a web service. */
    public function can_be_manually_set() {
        return true;
    }

    /**
     * Whoever came by the bridge and logs out is sent on to it, once the session here is over: theirs there ends too.
     *
     * Totara calls this at its page for logging out only, before the session is dropped.
     */
    public function logoutpage_hook() {
        global $redirect;
        $redirect = \auth_bridge\sign_on::ends_visit_at() ?? $redirect;
    }

    /**
     * The link on the login page. The page that was wanted stays where Totara keeps it, in the session.
     */
    public function loginpage_idp_list($wantsurl) {
        $configuration = \auth_bridge\configuration::load();
        if (!$configuration->show_button || $configuration->bridge === '') {
            return [];
        }
        return [[
            'url' => new moodle_url('/auth/bridge/start.php'),
            'icon' => new \core\output\flex_icon('user'),
            'name' => get_string('signin', 'auth_bridge'),
        ]];
    }
}
