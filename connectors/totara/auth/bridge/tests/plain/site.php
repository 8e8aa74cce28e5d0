<?php
// SPDX-License-Identifier: GPL-3.0-or-later

require_once dirname(__DIR__, 2) . '/classes/configuration.php';
require_once __DIR__ . '/totara/database.php';
require_once __DIR__ . '/totara/access.php';

/**
 * A site with this plugin and as much of Totara as that needs (see totara/config.php): real requests to login.php and
 * start.php, real sessions, and a real database with the table of db/install.xml.
 */
final class site {
    private const GUEST = 1;
    private const ADMINISTRATOR = 2;

    private static $shared;

    /** @var string */
    public $folder;

    /** @var moodle_database */
    public $db;

    /** @var served */
    public $served;

    /** @var maker the bridge */
    public $bridge;

    private function __construct() {
        $this->folder = sys_get_temp_dir() . '/auth_bridge_' . bin2hex(random_bytes(8));
        mkdir("$this->folder/sessions", 0700, true);
        self::copy(dirname(__DIR__, 2), "$this->folder/auth/bridge");
        mkdir("$this->folder/lib");
        foreach (['lib/authlib.php', 'lib/filelib.php', 'here.php', 'logout.php'] as $page) {
            copy(__DIR__ . '/totara/' . basename($page), "$this->folder/$page");
        }
        $stand_in = var_export(__DIR__ . '/totara/config.php', true);
        file_put_contents("$this->folder/config.php", "<?php\nconst SITE = __DIR__;\nrequire $stand_in;\n");
        $this->db = new moodle_database("$this->folder/site.sqlite");
        $this->bridge = new maker();
        $this->served = new served($this->folder);
    }

    /** The one site, as new: nobody but the guest and the administrator is there, and the plugin is enabled. */
    public static function fresh(): self {
        if (self::$shared === null) {
            self::$shared = new self();
            register_shutdown_function([self::$shared, 'end']);
        }
        self::$shared->db->together(function (): void {
            self::$shared->furnish();
        });
        return self::$shared;
    }

    public function end(): void {
        $this->served->stop();
        self::remove($this->folder);
    }

    // --- what there is ---

    private function furnish(): void {
        $this->make_tables();
        $settings = ['wwwroot' => $this->served->url, 'auth' => 'bridge', 'siteadmins' => (string) self::ADMINISTRATOR,
            'siteguest' => (string) self::GUEST, 'now' => (string) maker::NOW, 'defaultuserroleid' => (string) $this->add_role([])];
        foreach ($settings as $name => $value) {
            $this->db->insert_record('config', (object) ['name' => $name, 'value' => $value]);
        }
        $this->set('bridgeurl', maker::ISSUER . '/');
        $this->set('publickeys', $this->bridge->public);
        $this->add_context(CONTEXT_SYSTEM, 0, '');
        foreach (array_merge(\auth_bridge\configuration::DENIED_CAPABILITIES, ['mod/forum:replypost']) as $capability) {
            $this->db->insert_record('capabilities', (object) ['name' => $capability]);
        }
        $this->add_user(['id' => self::GUEST, 'username' => 'guest']);
        $this->add_user(['id' => self::ADMINISTRATOR, 'username' => 'admin']);
        foreach (['academy', 'memberland', 'closed'] as $idnumber) {
            $this->add_tenant($idnumber);
        }
    }

    private function make_tables(): void {
        $tables = [
            'config' => 'name PRIMARY KEY, value',
            'config_plugins' => 'plugin, name, value, UNIQUE (plugin, name)',
            'user' => 'id INTEGER PRIMARY KEY, username UNIQUE, auth, confirmed, suspended, deleted, tenantid',
            'tenant' => 'id INTEGER PRIMARY KEY, idnumber, suspended, categoryid',
            'context' => 'id INTEGER PRIMARY KEY, contextlevel, instanceid, path',
            'role' => 'id INTEGER PRIMARY KEY, shortname',
            'role_assignments' => 'roleid, contextid, userid',
            'role_capabilities' => 'roleid, contextid, capability, permission',
            'capabilities' => 'name PRIMARY KEY',
            'cache' => 'name PRIMARY KEY, value',
            'log' => 'id INTEGER PRIMARY KEY, event, data',
        ];
        foreach ($tables + ['auth_bridge_token' => ''] as $name => $columns) {
            $this->db->run("DROP TABLE IF EXISTS $name");
            if ($columns !== '') {
                $this->db->run("CREATE TABLE $name ($columns)");
            }
        }
        array_map([$this->db, 'run'], self::statements_of(simplexml_load_file("$this->folder/auth/bridge/db/install.xml")));
    }

    /** What Totara makes of install.xml, in SQLite's words: lengths, too, are kept to. */
    private static function statements_of(\SimpleXMLElement $file): array {
        $statements = [];
        foreach ($file->TABLES->TABLE as $table) {
            $columns = [];
            foreach ($table->FIELDS->FIELD as $field) {
                $null = $field['NOTNULL'] == 'true' ? 'NOT NULL' : '';
                $columns[] = $field['SEQUENCE'] == 'true' ? "{$field['NAME']} INTEGER PRIMARY KEY"
                    : "{$field['NAME']} $null CHECK (length({$field['NAME']}) <= {$field['LENGTH']})";
            }
            $statements[] = "CREATE TABLE {$table['NAME']} (" . implode(', ', $columns) . ')';
            foreach ($table->INDEXES->INDEX as $index) {
                $unique = $index['UNIQUE'] == 'true' ? 'UNIQUE' : '';
                $statements[] = "CREATE $unique INDEX {$table['NAME']}_{$index['NAME']} ON {$table['NAME']} ({$index['FIELDS']})";
            }
        }
        return $statements;
    }

    /** Change a setting of the plugin's. */
    public function set(string $name, string $value): void {
        $this->db->delete_records('config_plugins', ['plugin' => 'auth_bridge', 'name' => $name]);
        $this->db->insert_record('config_plugins', (object) ['plugin' => 'auth_bridge', 'name' => $name, 'value' => $value]);
    }

    /** Change a setting of Totara's. */
    public function set_site(string $name, string $value): void {
        $this->db->delete_records('config', ['name' => $name]);
        $this->db->insert_record('config', (object) ['name' => $name, 'value' => $value]);
    }

    public function now(): int {
        return (int) $this->db->get_field('config', 'value', ['name' => 'now']);
    }

    public function wait(int $seconds): void {
        $this->set_site('now', (string) ($this->now() + $seconds));
    }

    public function add_user(array $fields = []): \stdClass {
        $usual = ['username' => 'anna', 'auth' => 'manual', 'confirmed' => 1, 'suspended' => 0, 'deleted' => 0, 'tenantid' => null];
        $id = $this->db->insert_record('user', (object) ($fields + $usual));
        return $this->db->get_record('user', ['id' => $id]);
    }

    /** A tenant that is called "closed" is suspended. */
    private function add_tenant(string $idnumber): void {
        $tenant = ['idnumber' => $idnumber, 'suspended' => (int) ($idnumber === 'closed'), 'categoryid' => 0];
        $id = $this->db->insert_record('tenant', (object) $tenant);
        $this->db->set_field('tenant', 'categoryid', $id + 100, ['id' => $id]);
        $this->add_context(CONTEXT_TENANT, $id, $this->path_of(CONTEXT_SYSTEM, 0));
        $this->add_context(CONTEXT_COURSECAT, $id + 100, $this->path_of(CONTEXT_SYSTEM, 0));
        $this->add_context(CONTEXT_COURSE, $id + 1000, $this->path_of(CONTEXT_COURSECAT, $id + 100));
    }

    private function add_context(int $level, int $instanceid, string $around): void {
        $context = ['contextlevel' => $level, 'instanceid' => $instanceid, 'path' => ''];
        $id = $this->db->insert_record('context', (object) $context);
        $this->db->set_field('context', 'path', "$around/$id", ['id' => $id]);
    }

    private function path_of(int $level, int $instanceid): string {
        return $this->db->get_field('context', 'path', ['contextlevel' => $level, 'instanceid' => $instanceid], MUST_EXIST);
    }

    private function add_role(array $fields): int {
        return $this->db->insert_record('role', (object) ($fields + ['shortname' => 'role' . bin2hex(random_bytes(4))]));
    }

    /**
     * Give somebody a role, or everybody the same power.
     *
     * @param array $power "at": system, tenant, category or course; "of": the tenant that the latter are of, the academy's
     *                     if not told; "allows" or "forbids": a capability; "everybody": whether all have it
     */
    public function give(\stdClass $user, array $power): void {
        $context = $this->context_at($power['at'], $power['of'] ?? 'academy');
        $everybody = !empty($power['everybody']);
        $role = $everybody ? $this->db->get_field('config', 'value', ['name' => 'defaultuserroleid']) : $this->add_role([]);
        $allows = isset($power['allows']);
        $this->db->insert_record('role_capabilities', (object) [
            'roleid' => $role,
            'contextid' => $context,
            'capability' => $power[$allows ? 'allows' : 'forbids'],
            'permission' => $allows ? CAP_ALLOW : CAP_PREVENT,
        ]);
        if (!$everybody) {
            $this->db->insert_record('role_assignments', (object) ['roleid' => $role, 'contextid' => $context, 'userid' => $user->id]);
        }
    }

    private function context_at(string $place, string $idnumber): int {
        $tenant = $this->db->get_record('tenant', ['idnumber' => $idnumber]);
        list($level, $instanceid) = [
            'system' => [CONTEXT_SYSTEM, 0],
            'tenant' => [CONTEXT_TENANT, $tenant->id],
            'category' => [CONTEXT_COURSECAT, $tenant->categoryid],
            'course' => [CONTEXT_COURSE, $tenant->id + 1000],
        ][$place];
        return (int) $this->db->get_field('context', 'id', ['contextlevel' => $level, 'instanceid' => $instanceid], MUST_EXIST);
    }

    // --- what comes and what became of it ---

    /** A token of the bridge for this site, right but for what is given. */
    public function token(\stdClass $user, string $nonce, array $claims = [], array $header = []): string {
        return $this->bridge->token($claims + $this->claims($user, $nonce), $header);
    }

    public function claims(\stdClass $user, string $nonce): array {
        return [
            'aud' => $this->served->url,
            'sub' => (string) $user->id,
            'username' => $user->username,
            'nonce' => $nonce,
            'iat' => $this->now(),
            'exp' => $this->now() + 60,
            'jti' => bin2hex(random_bytes(16)),
        ];
    }

    /**
     * What is in the log since it was last asked.
     *
     * @return array[] each event's class or name, and what it says
     */
    public function log(): array {
        $events = array_map(static function (\stdClass $record): array {
            return [$record->event, json_decode($record->data, true)];
        }, $this->db->get_records('log'));
        $this->db->delete_records('log');
        return $events;
    }

    /** The log in short: "accepted 3", "refused 3 suspended", and nothing of Totara's own events. */
    public function outcomes(): array {
        $short = [];
        foreach ($this->log() as list($event, $data)) {
            if (strpos($event, 'auth_bridge\event\login_') === 0) {
                $short[] = trim(substr($event, strlen('auth_bridge\event\login_')) . " {$data['about']} {$data['reason']}");
            }
        }
        return $short;
    }

    private static function copy(string $from, string $to): void {
        mkdir($to, 0700, true);
        foreach (array_diff(scandir($from), ['.', '..', 'tests']) as $name) {
            is_dir("$from/$name") ? self::copy("$from/$name", "$to/$name") : copy("$from/$name", "$to/$name");
        }
    }

    private static function remove(string $folder): void {
        foreach (array_diff(scandir($folder), ['.', '..']) as $name) {
            is_dir("$folder/$name") ? self::remove("$folder/$name") : unlink("$folder/$name");
        }
        rmdir($folder);
    }
}
