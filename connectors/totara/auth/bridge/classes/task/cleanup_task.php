<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge\task;

/**
 * Forgets the tokens that have expired.
 */
final class cleanup_task extends \core\task\scheduled_task {
    public function get_name() {
        return get_string('task_cleanup', 'auth_bridge');
    }

    public function execute() {
        (new \auth_bridge\token_register())->clean_up(time());
    }
}
