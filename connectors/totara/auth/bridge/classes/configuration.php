<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * The plugin's settings, read once.
 */
final class configuration {
    public const AUTH_METHODS = ['bridge', 'manual'];

    /**
     * Who can do one of these is staff, and signs in with a password of their own.
     * No role that Totara gives to learners and line managers by itself holds any of them.
     */
    public const DENIED_CAPABILITIES = [
        'moodle/backup:backupcourse',
        'moodle/category:manage',
        'moodle/cohort:assign',
        'moodle/cohort:manage',
        'moodle/course:create',
        'moodle/course:delete',
        'moodle/course:update',
        'moodle/grade:edit',
        'moodle/restore:restorecourse',
        'moodle/role:assign',
        'moodle/role:manage',
        'moodle/role:override',
        'moodle/site:approvecourse',
        'moodle/site:config',
        'moodle/site:maintenanceaccess',
        'moodle/site:uploadusers',
        'moodle/user:create',
        'moodle/user:delete',
        'moodle/user:editprofile',
        'moodle/user:loginas',
        'moodle/user:managelogin',
        'moodle/user:update',
        'enrol/manual:enrol',
        'enrol/manual:unenrol',
        'totara/api:manageclients',
        'totara/program:configuredetails',
        'totara/program:createprogram',
        'totara/reportbuilder:managereports',
        'totara/tenant:config',
        'totara/tenant:manageparticipants',
        'totara/tenant:usercreate',
        'webservice/rest:use',
    ];

    /** @var string the bridge's address without trailing slash, '' while not configured */
    public $bridge;

    /** @var string where it publishes its keys */
    public $jwks;

    /** @var string its public keys as pasted, '' when they are fetched */
    public $public_keys;

    /** @var string[] */
    public $auth_methods;

    /** @var string the idnumber of the one tenant whose members are let in, '' for no such limit */
    public $tenant;

    /** @var string[] */
    public $denied_capabilities;

    /** @var int seconds */
    public $leeway;

    /** @var bool */
    public $show_button;

    /** @var bool whether signing out here ends the visit to the bridge too */
    public $end_visit;

    public static function load(): self {
        $stored = get_config('auth_bridge');
        $loaded = new self();
        $loaded->bridge = rtrim(trim($stored->bridgeurl ?? ''), '/');
        $loaded->jwks = trim($stored->jwksurl ?? '') ?: $loaded->bridge . '/.well-known/jwks.json';
        $loaded->public_keys = trim($stored->publickeys ?? '');
        $loaded->auth_methods = self::words($stored->authmethods ?? implode(',', self::AUTH_METHODS));
        $loaded->tenant = trim($stored->tenant ?? '');
        $loaded->denied_capabilities = self::words($stored->denied ?? implode("\n", self::DENIED_CAPABILITIES));
        $loaded->leeway = (int) ($stored->leeway ?? token_verifier::MOST_LEEWAY);
        $loaded->show_button = (bool) ($stored->loginbutton ?? true);
        $loaded->end_visit = (bool) ($stored->endvisit ?? true);
        return $loaded;
    }

    /**
     * The words of a setting that lists some.
     *
     * @return string[]
     */
    public static function words(string $text): array {
        return preg_split('/[\s,]+/', $text, -1, PREG_SPLIT_NO_EMPTY);
    }
}
