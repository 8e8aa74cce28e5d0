<?php
// SPDX-License-Identifier: GPL-3.0-or-later

defined('MOODLE_INTERNAL') || die();

use auth_bridge\account_gate;
use auth_bridge\claims;
use auth_bridge\configuration;
use auth_bridge\refused;

/**
 * Who is let in, and who is not.
 *
 * @group auth_bridge
 */
class auth_bridge_account_gate_testcase extends advanced_testcase {
    private function enable(): configuration {
        set_config('auth', 'bridge');
        return configuration::load();
    }

    private static function claims(stdClass $user): claims {
        $claims = new claims();
        $claims->userid = (int) $user->id;
        $claims->username = $user->username;
        return $claims;
    }

    private function assert_admitted(stdClass $user, configuration $configuration): void {
        $admitted = (new account_gate($configuration))->admit(self::claims($user));
        $this->assertEquals($user->id, $admitted->id);
    }

    private function assert_refused(string $reason, stdClass $user, configuration $configuration): void {
        try {
            (new account_gate($configuration))->admit(self::claims($user));
        } catch (refused $refused) {
            $this->assertSame($reason, $refused->reason);
            $this->assertTrue(get_string_manager()->string_exists("refused_$reason", 'auth_bridge'));
            return;
        }
        $this->fail("let in, and not refused: $reason");
    }

    public function test_learners_of_the_allowed_methods_are_let_in() {
        $configuration = $this->enable();
        foreach (['manual', 'bridge'] as $method) {
            $this->assert_admitted($this->getDataGenerator()->create_user(['auth' => $method]), $configuration);
        }
        foreach (['nologin', 'oauth2', 'webservice', 'email'] as $method) {
            $user = $this->getDataGenerator()->create_user(['auth' => $method]);
            $this->assert_refused('authmethod', $user, $configuration);
        }
    }

    public function test_a_method_has_to_be_enabled_and_listed() {
        $configuration = $this->enable();
        $configuration->auth_methods = ['bridge', 'oauth2', 'nologin'];
        $this->assert_refused('authmethod', $this->getDataGenerator()->create_user(['auth' => 'manual']), $configuration);
        $this->assert_refused('authmethod', $this->getDataGenerator()->create_user(['auth' => 'nologin']), $configuration);
        $user = $this->getDataGenerator()->create_user(['auth' => 'oauth2']);
        $this->assert_refused('authmethod', $user, $configuration);
        set_config('auth', 'bridge,oauth2');
        $this->assert_admitted($user, $configuration);
    }

    public function test_accounts_that_are_not_in_good_standing() {
        $configuration = $this->enable();
        $this->assert_refused('suspended', $this->getDataGenerator()->create_user(['suspended' => 1]), $configuration);
        $this->assert_refused('unconfirmed', $this->getDataGenerator()->create_user(['confirmed' => 0]), $configuration);
        $this->assert_refused('nouser', $this->getDataGenerator()->create_user(['deleted' => 1]), $configuration);
        $this->assert_refused('nouser', (object) ['id' => 987654, 'username' => 'nobody'], $configuration);
        $this->assert_refused('guest', guest_user(), $configuration);
        $this->assert_refused('administrator', get_admin(), $configuration);
    }

    public function test_the_username_has_to_be_the_one_that_the_bridge_knows() {
        $configuration = $this->enable();
        $user = $this->getDataGenerator()->create_user(['username' => 'anna']);
        $this->assert_refused('username', (object) ['id' => $user->id, 'username' => 'Anna'], $configuration);
        $this->assert_refused('username', (object) ['id' => $user->id, 'username' => 'anna2'], $configuration);
        $this->assert_admitted($user, $configuration);
    }

    public function test_tenants() {
        global $DB;
        $configuration = $this->enable();
        $generator = \totara_tenant\testing\generator::instance();
        $generator->enable_tenants();
        $ours = $generator->create_tenant(['idnumber' => 'ours']);
        $other = $generator->create_tenant(['idnumber' => 'other']);
        $member = $this->getDataGenerator()->create_user(['tenantid' => $ours->id]);
        $stranger = $this->getDataGenerator()->create_user(['tenantid' => $other->id]);
        $nobody = $this->getDataGenerator()->create_user();

        foreach ([$member, $stranger, $nobody] as $user) {
            $this->assert_admitted($user, $configuration);
        }
        $configuration->tenant = 'ours';
        $this->assert_admitted($member, $configuration);
        $this->assert_refused('tenant', $stranger, $configuration);
        $this->assert_refused('tenant', $nobody, $configuration);
        $configuration->tenant = 'nosuch';
        $this->assert_refused('tenant', $member, $configuration);

        $DB->set_field('tenant', 'suspended', 1, ['id' => $ours->id]);
        foreach (['', 'ours'] as $configuration->tenant) {
            $this->assert_refused('tenantsuspended', $member, $configuration);
        }
    }

    public function test_who_can_do_a_denied_thing_is_kept_out() {
        $configuration = $this->enable();
        $configuration->denied_capabilities = ['moodle/user:update'];
        $user = $this->getDataGenerator()->create_user();
        $role = $this->getDataGenerator()->create_role();
        role_assign($role, $user->id, context_system::instance()->id);
        $this->assert_admitted($user, $configuration);

        assign_capability('moodle/user:update', CAP_ALLOW, $role, context_system::instance());
        $this->assert_refused('capability', $user, $configuration);
        $configuration->denied_capabilities = ['moodle/user:delete', 'no/such:capability'];
        $this->assert_admitted($user, $configuration);
        $configuration->denied_capabilities = [];
        $this->assert_admitted($user, $configuration);
    }

    public function test_a_role_in_a_single_course_keeps_out_too() {
        $configuration = $this->enable();
        $course = $this->getDataGenerator()->create_course();
        $trainer = $this->getDataGenerator()->create_user();
        $learner = $this->getDataGenerator()->create_user();
        $this->getDataGenerator()->enrol_user($trainer->id, $course->id, 'editingteacher');
        $this->getDataGenerator()->enrol_user($learner->id, $course->id, 'student');
        $this->assert_refused('capability', $trainer, $configuration);
        $this->assert_admitted($learner, $configuration);
    }

    public function test_who_may_do_it_by_being_anybody_is_kept_out() {
        global $CFG;
        $configuration = $this->enable();
        $configuration->denied_capabilities = ['moodle/user:update'];
        $user = $this->getDataGenerator()->create_user();
        assign_capability('moodle/user:update', CAP_ALLOW, $CFG->defaultuserroleid, context_system::instance());
        $this->assert_refused('capability', $user, $configuration);
    }

    public function test_officers_of_a_tenant_are_kept_out() {
        global $DB;
        $configuration = $this->enable();
        $generator = \totara_tenant\testing\generator::instance();
        $generator->enable_tenants();
        $tenant = $generator->create_tenant();
        $places = [
            'tenantusermanager' => context_tenant::instance($tenant->id),
            'tenantdomainmanager' => context_coursecat::instance($tenant->categoryid),
        ];
        foreach ($places as $name => $context) {
            $user = $this->getDataGenerator()->create_user(['tenantid' => $tenant->id]);
            $this->assert_admitted($user, $configuration);
            role_assign($DB->get_field('role', 'id', ['shortname' => $name]), $user->id, $context->id);
            $this->assert_refused('capability', $user, $configuration);
        }
    }

    public function test_line_managers_and_owners_of_workspaces_are_learners() {
        global $DB;
        $configuration = $this->enable();
        foreach (['user', 'student', 'staffmanager', 'workspacecreator', 'workspaceowner'] as $archetype) {
            $role = $DB->get_record('role', ['archetype' => $archetype]);
            $user = $this->getDataGenerator()->create_user();
            role_assign($role->id, $user->id, context_system::instance()->id);
            $this->assert_admitted($user, $configuration);
        }
    }

    public function test_the_list_that_comes_with_it_names_capabilities_that_exist() {
        $this->assertSame(configuration::DENIED_CAPABILITIES, configuration::load()->denied_capabilities);
        foreach (configuration::DENIED_CAPABILITIES as $capability) {
            $this->assertNotEmpty(get_capability_info($capability), $capability);
        }
    }
}
