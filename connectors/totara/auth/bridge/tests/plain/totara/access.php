<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Totara's contexts, roles and capabilities in small, and who is what.
 */

const CONTEXT_SYSTEM = 10;
const CONTEXT_TENANT = 15;
const CONTEXT_COURSECAT = 40;
const CONTEXT_COURSE = 50;
const CAP_ALLOW = 1;
const CAP_PREVENT = -1;
const CAP_PROHIBIT = -1000;

abstract class context {
    public $id;

    /** @var string the ids of the contexts around it and its own, as /1/2/3 */
    public $path;

    protected static function of(int $level, int $instanceid): self {
        global $DB;
        $record = $DB->get_record('context', ['contextlevel' => $level, 'instanceid' => $instanceid]);
        if (!$record) {
            throw new dml_exception("no context of level $level for $instanceid");
        }
        $context = new static();
        $context->id = (int) $record->id;
        $context->path = $record->path;
        return $context;
    }

    /** @return string[] the ids of this context and those around it, the nearest first */
    public function around(): array {
        return array_reverse(explode('/', ltrim($this->path, '/')));
    }
}

final class context_system extends context {
    public static function instance(): self {
        return self::of(CONTEXT_SYSTEM, 0);
    }
}

final class context_tenant extends context {
    public static function instance($id): self {
        return self::of(CONTEXT_TENANT, (int) $id);
    }
}

final class context_coursecat extends context {
    public static function instance($id): self {
        return self::of(CONTEXT_COURSECAT, (int) $id);
    }
}

function get_capability_info(string $capability) {
    global $DB;
    return $DB->get_record('capabilities', ['name' => $capability]);
}

/** Whether one of the person's roles allows it there, and none prohibits it. */
function has_capability(string $capability, context $context, $userid, bool $doanything = true): bool {
    if (!get_capability_info($capability)) {
        throw new coding_exception("Totara warns developers who ask for $capability, which it doesn't know");
    }
    if ($doanything && is_siteadmin($userid)) {
        return true;
    }
    $permissions = array_map(static function (string $roleid) use ($capability, $context): int {
        return permission_of_role($roleid, $capability, $context);
    }, roles_in($context, (int) $userid));
    return in_array(CAP_ALLOW, $permissions, true) && !in_array(CAP_PROHIBIT, $permissions, true);
}

/** The roles that somebody has in a context: given there or around it, and the one that everybody has. */
function roles_in(context $context, int $userid): array {
    global $CFG, $DB;
    $roles = [$CFG->defaultuserroleid];
    foreach ($DB->get_records('role_assignments', ['userid' => $userid]) as $assignment) {
        if (in_array($assignment->contextid, $context->around(), true)) {
            $roles[] = $assignment->roleid;
        }
    }
    return $roles;
}

/** What a role says of a capability in a context: what is said nearest, but for a prohibition, which stands everywhere. */
function permission_of_role(string $roleid, string $capability, context $context): int {
    global $DB;
    $said = [];
    foreach ($context->around() as $id) {
        $record = $DB->get_record('role_capabilities', ['roleid' => $roleid, 'capability' => $capability, 'contextid' => $id]);
        if ($record) {
            $said[] = (int) $record->permission;
        }
    }
    return in_array(CAP_PROHIBIT, $said, true) ? CAP_PROHIBIT : $said[0] ?? 0;
}

function is_siteadmin($userid): bool {
    global $CFG;
    return in_array((string) $userid, explode(',', $CFG->siteadmins), true);
}

/** Whether an account is the guest's; without one, whether the guest is signed in here. */
function isguestuser($user = null): bool {
    global $CFG, $USER;
    $id = $user === null ? $USER->id ?? 0 : $user->id;
    return (int) $id === (int) $CFG->siteguest;
}

/** Manual accounts and those that cannot sign in are always among Totara's methods. */
function is_enabled_auth(string $method): bool {
    global $CFG;
    return in_array($method, array_merge(['manual', 'nologin'], explode(',', $CFG->auth)), true);
}

function get_config(string $plugin): \stdClass {
    global $DB;
    $settings = new \stdClass();
    foreach ($DB->get_records('config_plugins', ['plugin' => $plugin]) as $record) {
        $settings->{$record->name} = $record->value;
    }
    return $settings;
}
