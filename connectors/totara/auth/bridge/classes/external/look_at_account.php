<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge\external;

use auth_bridge\account_gate;
use auth_bridge\configuration;

defined('MOODLE_INTERNAL') || die();

global $CFG;
require_once($CFG->libdir . '/externallib.php');

/**
 * What kind of account it is and which courses it has opened, which no function of Totara's own tells: the bridge links
 * none of the staff's, and takes no seat from whoever has begun to learn.
 */
final class look_at_account extends \external_api {
    public static function execute_parameters(): \external_function_parameters {
        return new \external_function_parameters(['userid' => new \external_value(PARAM_INT, 'the account')]);
    }

    /**
     * @throws \dml_missing_record_exception for an account that is not there, or not any more
     */
    public static function execute(int $userid): array {
        global $DB;
        ['userid' => $userid] = self::validate_parameters(self::execute_parameters(), ['userid' => $userid]);
        $system = \context_system::instance();
        self::validate_context($system);
        require_capability('auth/bridge:lookataccount', $system);
        $user = $DB->get_record('user', ['id' => $userid, 'deleted' => 0], '*', MUST_EXIST);
        $tenant = $user->tenantid ? $DB->get_record('tenant', ['id' => $user->tenantid], '*', MUST_EXIST) : null;
        $power = (new account_gate(configuration::load()))->find_power($user);
        return [
            'administrator' => $power === 'administrator',
            'staff' => $power !== null,
            'tenant' => $tenant ? $tenant->idnumber : '',
            'tenant_suspended' => $tenant && $tenant->suspended,
            'suspended' => (bool) $user->suspended,
            'opened' => $DB->get_fieldset_sql(
                'SELECT courseid FROM {user_lastaccess} WHERE userid = :userid ORDER BY courseid',
                ['userid' => $user->id]
            ),
        ];
    }

    public static function execute_returns(): \external_single_structure {
        return new \external_single_structure([
            'administrator' => new \external_value(PARAM_BOOL, 'whether it is a site administrator\'s'),
            'staff' => new \external_value(PARAM_BOOL, 'whether it is that, or can do one of the denied things anywhere'),
            'tenant' => new \external_value(PARAM_RAW, 'the identifier of the tenant whose member it is, or nothing'),
            'tenant_suspended' => new \external_value(PARAM_BOOL, 'whether that tenant is suspended'),
            'suspended' => new \external_value(PARAM_BOOL, 'whether the account is suspended'),
            'opened' => new \external_multiple_structure(
                new \external_value(PARAM_INT, 'a course'),
                'the courses that were opened by it, of those that it is still enrolled in'
            ),
        ]);
    }
}
