<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge\event;

/**
 * Somebody was signed in by a token of the bridge.
 */
final class login_accepted extends \core\event\base {
    public static function of(int $userid): self {
        return self::create(['userid' => $userid, 'relateduserid' => $userid]);
    }

    protected function init() {
        $this->context = \context_system::instance();
        $this->data['crud'] = 'r';
        $this->data['edulevel'] = self::LEVEL_OTHER;
    }

    public static function get_name() {
        return get_string('event_login_accepted', 'auth_bridge');
    }

    public function get_description() {
        return "The user with id '$this->relateduserid' was signed in by a token of the bridge.";
    }
}
