<?php
// SPDX-License-Identifier: GPL-3.0-or-later

defined('MOODLE_INTERNAL') || die();

use auth_bridge\external\look_at_account;

/**
 * What the bridge is told of an account, and who may ask.
 *
 * @group auth_bridge
 */
class auth_bridge_look_at_account_testcase extends advanced_testcase {
    /** Goes on as an account with the one capability. */
    private function become_the_service(): void {
        $service = $this->getDataGenerator()->create_user();
        $role = $this->getDataGenerator()->create_role();
        assign_capability('auth/bridge:lookataccount', CAP_ALLOW, $role, context_system::instance());
        role_assign($role, $service->id, context_system::instance()->id);
        $this->setUser($service);
    }

    private function look_at(stdClass $user): array {
        $answer = look_at_account::execute((int) $user->id);
        return external_api::clean_returnvalue(look_at_account::execute_returns(), $answer);
    }

    private function assert_told(array $different, stdClass $user): void {
        $learner = [
            'administrator' => false,
            'staff' => false,
            'tenant' => '',
            'tenant_suspended' => false,
            'suspended' => false,
            'opened' => [],
        ];
        $this->assertSame(array_merge($learner, $different), $this->look_at($user));
    }

    public function test_learners_staff_and_administrators_are_told_apart() {
        $this->become_the_service();
        $course = $this->getDataGenerator()->create_course();
        $learner = $this->getDataGenerator()->create_user();
        $trainer = $this->getDataGenerator()->create_user();
        $this->getDataGenerator()->enrol_user($learner->id, $course->id, 'student');
        $this->getDataGenerator()->enrol_user($trainer->id, $course->id, 'editingteacher');
        $this->assert_told([], $learner);
        $this->assert_told(['staff' => true], $trainer);
        $this->assert_told(['administrator' => true, 'staff' => true], get_admin());
    }

    public function test_staff_is_whoever_the_settings_keep_out() {
        $this->become_the_service();
        $course = $this->getDataGenerator()->create_course();
        $trainer = $this->getDataGenerator()->create_user();
        $this->getDataGenerator()->enrol_user($trainer->id, $course->id, 'editingteacher');
        set_config('denied', 'moodle/user:delete', 'auth_bridge');
        $this->assert_told([], $trainer);
    }

    public function test_the_tenant_and_what_is_suspended_are_told() {
        global $DB;
        $this->become_the_service();
        $generator = \totara_tenant\testing\generator::instance();
        $generator->enable_tenants();
        $tenant = $generator->create_tenant(['idnumber' => 'academy']);
        $member = $this->getDataGenerator()->create_user(['tenantid' => $tenant->id]);
        $this->assert_told(['tenant' => 'academy'], $member);
        $DB->set_field('tenant', 'suspended', 1, ['id' => $tenant->id]);
        $this->assert_told(['tenant' => 'academy', 'tenant_suspended' => true], $member);
        $this->assert_told(['suspended' => true], $this->getDataGenerator()->create_user(['suspended' => 1]));
    }

    public function test_the_courses_that_were_opened_are_told() {
        $this->become_the_service();
        $generator = $this->getDataGenerator();
        [$one, $two, $other] = [$generator->create_course(), $generator->create_course(), $generator->create_course()];
        [$learner, $another] = [$generator->create_user(), $generator->create_user()];
        foreach ([[$learner, $two], [$learner, $one], [$learner, $other], [$another, $other]] as [$user, $course]) {
            $generator->enrol_user($user->id, $course->id, 'student');
        }
        $service = $GLOBALS['USER'];
        foreach ([[$learner, $two], [$learner, $one], [$another, $other]] as [$user, $course]) {
            $this->setUser($user);
            user_accesstime_log($course->id);
        }
        $this->setUser($service);
        $this->assert_told(['opened' => [(int) $one->id, (int) $two->id]], $learner);
        $this->assert_told(['opened' => [(int) $other->id]], $another);
    }

    public function test_nothing_is_told_of_who_is_not_there() {
        $this->become_the_service();
        foreach ([$this->getDataGenerator()->create_user(['deleted' => 1]), (object) ['id' => 987654]] as $nobody) {
            try {
                $this->look_at($nobody);
                $this->fail('something was told');
            } catch (dml_missing_record_exception $missing) {
                $this->assertSame('invalidrecordunknown', $missing->errorcode);
            }
        }
    }

    public function test_nobody_may_ask_without_the_capability() {
        global $DB;
        $this->setUser($this->getDataGenerator()->create_user());
        foreach ($DB->get_records('role') as $role) {
            $this->assertFalse($DB->record_exists('role_capabilities', [
                'roleid' => $role->id,
                'capability' => 'auth/bridge:lookataccount',
            ]), $role->shortname);
        }
        $this->expectException(required_capability_exception::class);
        $this->look_at($this->getDataGenerator()->create_user());
    }
}
