<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge\event;

use auth_bridge\refused;

/**
 * A sign-on was refused, for the reason that it tells.
 *
 * @property-read array $other {
 *      - string reason: one word, see the texts refused_WORD
 * }
 */
final class login_refused extends \core\event\base {
    public static function of(refused $refused): self {
        $about = $refused->userid ? ['relateduserid' => $refused->userid] : [];
        return self::create($about + ['other' => ['reason' => $refused->reason]]);
    }

    protected function init() {
        $this->context = \context_system::instance();
        $this->data['crud'] = 'r';
        $this->data['edulevel'] = self::LEVEL_OTHER;
    }

    public static function get_name() {
        return get_string('event_login_refused', 'auth_bridge');
    }

    public function get_description() {
        $whom = $this->relateduserid ? "for the user with id '$this->relateduserid' " : '';
        $reason = $this->other['reason'];
        return "A sign-on by the bridge {$whom}was refused: " . get_string("refused_$reason", 'auth_bridge') . " ($reason)";
    }

    protected function validate_data() {
        parent::validate_data();
        if (!isset($this->other['reason'])) {
            throw new \coding_exception("The 'reason' must be set in other.");
        }
    }
}
