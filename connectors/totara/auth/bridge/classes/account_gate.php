<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * Whom a token may sign in: learners who are in good standing, and nobody of the staff.
 */
final class account_gate {
    /** @var configuration */
    private $configuration;

    public function __construct(configuration $configuration) {
        $this->configuration = $configuration;
    }

    /**
     * The account that the token names.
     *
     * @throws refused
     */
    public function admit(claims $claims): \stdClass {
        global $DB;
        $user = $DB->get_record('user', ['id' => $claims->userid, 'deleted' => 0]);
        if (!$user) {
            throw new refused('nouser');
        }
        $reason = $user->username === $claims->username ? $this->find_objection($user) : 'username';
        if ($reason !== null) {
            throw new refused($reason, $user->id);
        }
        return $user;
    }

    /**
     * What makes an account one of the staff's: 'administrator', 'capability', or null for a learner's.
     */
    public function find_power(\stdClass $user): ?string {
        if (is_siteadmin($user->id)) {
            return 'administrator';
        }
        return $this->can_by_standing($user) || $this->can_by_role($user) ? 'capability' : null;
    }

    private function find_objection(\stdClass $user): ?string {
        if (isguestuser($user)) {
            return 'guest';
        }
        if (!$user->confirmed) {
            return 'unconfirmed';
        }
        if ($user->suspended) {
            return 'suspended';
        }
        if (!$this->has_allowed_method($user)) {
            return 'authmethod';
        }
        return $this->object_to_tenant($user) ?? $this->find_power($user);
    }

    private function has_allowed_method(\stdClass $user): bool {
        return $user->auth !== 'nologin'
            && in_array($user->auth, $this->configuration->auth_methods, true)
            && is_enabled_auth($user->auth);
    }

    private function object_to_tenant(\stdClass $user): ?string {
        global $DB;
        $tenant = $user->tenantid ? $DB->get_record('tenant', ['id' => $user->tenantid]) : null;
        if ($user->tenantid && (!$tenant || $tenant->suspended)) {
            return 'tenantsuspended';
        }
        if ($this->configuration->tenant !== '' && (!$tenant || $tenant->idnumber !== $this->configuration->tenant)) {
            return 'tenant';
        }
        return null;
    }

    /** Whether the person can do one of the denied things in the site, or in the tenant. */
    private function can_by_standing(\stdClass $user): bool {
        foreach ($this->configuration->denied_capabilities as $capability) {
            // A word that this version of Totara does not know can be held by nobody.
            if (!get_capability_info($capability)) {
                continue;
            }
            foreach (self::contexts($user) as $context) {
                if (has_capability($capability, $context, $user->id, false)) {
                    return true;
                }
            }
        }
        return false;
    }

    /** Whether any role that the person was given, wherever that was, allows one of the denied things. */
    private function can_by_role(\stdClass $user): bool {
        global $DB;
        if (!$this->configuration->denied_capabilities) {
            return false;
        }
        list($named, $parameters) = $DB->get_in_or_equal($this->configuration->denied_capabilities, SQL_PARAMS_NAMED);
        $sql = "SELECT 1
                  FROM {role_assignments} ra
                  JOIN {role_capabilities} rc ON rc.roleid = ra.roleid
                 WHERE ra.userid = :userid AND rc.permission = :allow AND rc.capability $named";
        return $DB->record_exists_sql($sql, $parameters + ['userid' => $user->id, 'allow' => CAP_ALLOW]);
    }

    /** @return \context[] */
    private static function contexts(\stdClass $user): array {
        global $DB;
        $contexts = [\context_system::instance()];
        if ($user->tenantid) {
            $contexts[] = \context_tenant::instance($user->tenantid);
            $category = $DB->get_field('tenant', 'categoryid', ['id' => $user->tenantid], MUST_EXIST);
            $contexts[] = \context_coursecat::instance($category);
        }
        return $contexts;
    }
}
