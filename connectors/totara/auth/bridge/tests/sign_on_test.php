<?php
// SPDX-License-Identifier: GPL-3.0-or-later

defined('MOODLE_INTERNAL') || die();

require_once(__DIR__ . '/plain/maker.php');

use auth_bridge\refused;
use auth_bridge\sign_on;
use auth_bridge\token_register;

/**
 * A sign-on from its beginning to its end, with tokens that a maker of the tests signs.
 *
 * @group auth_bridge
 */
class auth_bridge_sign_on_testcase extends advanced_testcase {
    /** @var maker|null the bridge; its key takes a while to make, and is made once */
    private static $bridge;

    private function sign_on(): sign_on {
        self::$bridge = self::$bridge ?? new maker();
        set_config('auth', 'bridge');
        set_config('bridgeurl', maker::ISSUER . '/', 'auth_bridge');
        set_config('publickeys', self::$bridge->public, 'auth_bridge');
        return sign_on::current();
    }

    /** A token for a new nonce of this session. */
    private function token(sign_on $signon, stdClass $user, array $other = []): string {
        global $CFG;
        $address = $signon->begin();
        $this->assertSame(1, preg_match('~\A' . preg_quote(maker::ISSUER) . '/sso/totara\?nonce=([0-9a-f]{32})\z~', $address, $found));
        return self::$bridge->token($other + [
            'aud' => $CFG->wwwroot,
            'sub' => (string) $user->id,
            'username' => $user->username,
            'nonce' => $found[1],
            'iat' => time(),
            'exp' => time() + 60,
            'jti' => bin2hex(random_bytes(16)),
        ]);
    }

    private function assert_refused(string $reason, callable $attempt): void {
        try {
            $attempt();
        } catch (refused $refused) {
            $this->assertSame($reason, $refused->reason);
            return;
        }
        $this->fail("let in, and not refused: $reason");
    }

    public function test_a_token_lets_its_person_in_once() {
        global $DB, $USER;
        $signon = $this->sign_on();
        $user = $this->getDataGenerator()->create_user();
        $token = $this->token($signon, $user);
        $accepted = $signon->accept($token);
        $this->assertSame('/course/view.php?id=7', $accepted->target);
        $this->assertSame(1, $DB->count_records('auth_bridge_token', ['jti' => $accepted->jti]));

        $sink = $this->redirectEvents();
        $this->assertFalse($signon->end_other_session($accepted));
        @$signon->let_in($accepted);
        $this->assertEquals($user->id, $USER->id);
        $events = array_map('get_class', $sink->get_events());
        $this->assertContains('auth_bridge\event\login_accepted', $events);
        $this->assertContains('core\event\user_loggedin', $events);
        $this->assert_refused('nonce', function () use ($signon, $token) {
            $signon->accept($token);
        });
    }

    public function test_a_used_name_is_refused_whatever_nonce_comes_with_it() {
        $signon = $this->sign_on();
        $user = $this->getDataGenerator()->create_user();
        $signon->accept($this->token($signon, $user, ['jti' => str_repeat('a', 32)]));
        $this->assert_refused('replay', function () use ($signon, $user) {
            $signon->accept($this->token($signon, $user, ['jti' => str_repeat('a', 32)]));
        });
    }

    public function test_a_refused_account_uses_the_token_up() {
        global $DB;
        $signon = $this->sign_on();
        $user = $this->getDataGenerator()->create_user(['suspended' => 1]);
        $token = $this->token($signon, $user);
        $this->assert_refused('suspended', function () use ($signon, $token) {
            $signon->accept($token);
        });
        $DB->set_field('user', 'suspended', 0, ['id' => $user->id]);
        $this->assert_refused('nonce', function () use ($signon, $token) {
            $signon->accept($token);
        });
    }

    public function test_the_nonce_of_another_session_is_refused() {
        global $SESSION;
        $signon = $this->sign_on();
        $token = $this->token($signon, $this->getDataGenerator()->create_user());
        $SESSION->auth_bridge = null;
        $this->assertFalse($signon->has_begun());
        $signon->begin();
        $this->assertTrue($signon->has_begun());
        $this->assert_refused('nonce', function () use ($signon, $token) {
            $signon->accept($token);
        });
    }

    public function test_a_token_for_another_site_is_refused() {
        $signon = $this->sign_on();
        $user = $this->getDataGenerator()->create_user();
        $this->assert_refused('audience', function () use ($signon, $user) {
            $signon->accept($this->token($signon, $user, ['aud' => 'https://other.example']));
        });
    }

    public function test_the_page_that_was_wanted_is_the_second_choice() {
        global $CFG, $SESSION;
        $signon = $this->sign_on();
        $user = $this->getDataGenerator()->create_user();
        $SESSION->wantsurl = "$CFG->wwwroot/my/courses.php?x=1";
        $this->assertSame('/course/view.php?id=7', $signon->accept($this->token($signon, $user))->target);
        $this->assertSame('/my/courses.php?x=1', $signon->accept($this->token($signon, $user, ['target' => '/']))->target);
        $SESSION->wantsurl = 'https://evil.example/';
        $this->assertSame('/', $signon->accept($this->token($signon, $user, ['target' => '/']))->target);
    }

    public function test_nothing_happens_until_it_is_configured() {
        $this->sign_on();
        set_config('bridgeurl', '', 'auth_bridge');
        $this->assert_refused('notconfigured', [sign_on::class, 'current']);
        set_config('bridgeurl', maker::ISSUER, 'auth_bridge');
        set_config('auth', '');
        $this->assert_refused('notconfigured', [sign_on::class, 'current']);
    }

    public function test_a_token_is_handed_over_to_one_session_once() {
        $signon = $this->sign_on();
        $accepted = $signon->accept($this->token($signon, $this->getDataGenerator()->create_user()));
        $register = new token_register();
        $this->assertFalse($register->take_over($accepted->jti, 'heir'));
        $register->hand_over($accepted->jti, 'heir');
        $this->assertFalse($register->take_over($accepted->jti, 'somebody'));
        $this->assertFalse($register->take_over($accepted->jti, ''));
        $this->assertFalse($register->take_over(str_repeat('0', 32), 'heir'));
        $this->assertTrue($register->take_over($accepted->jti, 'heir'));
        $this->assertFalse($register->take_over($accepted->jti, 'heir'));
    }

    public function test_what_has_expired_is_forgotten() {
        global $DB;
        foreach ([time() + 60, time(), time() - 30, time() - 61, time() - 3600] as $i => $expires) {
            $DB->insert_record('auth_bridge_token', (object) ['jti' => str_repeat((string) $i, 32), 'timeexpires' => $expires]);
        }
        (new \auth_bridge\task\cleanup_task())->execute();
        $this->assertSame(3, $DB->count_records('auth_bridge_token'));
        $this->assertFalse($DB->record_exists_select('auth_bridge_token', 'timeexpires < ?', [time() - 60]));
    }

    public function test_the_log_tells_why() {
        $user = $this->getDataGenerator()->create_user();
        $sink = $this->redirectEvents();
        \auth_bridge\event\login_refused::of(new refused('suspended', $user->id))->trigger();
        \auth_bridge\event\login_refused::of(new refused('signature'))->trigger();
        list($first, $second) = $sink->get_events();
        $this->assertEquals($user->id, $first->relateduserid);
        $this->assertSame('suspended', $first->other['reason']);
        $this->assertStringContainsString('the account is suspended (suspended)', $first->get_description());
        $this->assertNull($second->relateduserid);
        $this->assertSame('Sign-on by the bridge refused', $second->get_name());
    }

    public function test_there_is_no_password() {
        $plugin = get_auth_plugin('bridge');
        $user = $this->getDataGenerator()->create_user(['auth' => 'bridge', 'password' => 'Known-1!']);
        set_config('auth', 'bridge');
        $this->assertFalse($plugin->user_login($user->username, 'Known-1!'));
        $this->assertFalse(authenticate_user_login($user->username, 'Known-1!'));
        $this->assertFalse($plugin->can_change_password());
        $this->assertFalse($plugin->can_reset_password());
        $this->assertFalse($plugin->is_internal());
    }

    public function test_logging_out_leads_on_to_the_bridge_by_what_the_token_said() {
        global $redirect, $SESSION;
        $signon = $this->sign_on();
        $plugin = get_auth_plugin('bridge');
        $user = $this->getDataGenerator()->create_user();
        $redirect = 'as it was';
        $plugin->logoutpage_hook();
        $this->assertSame('as it was', $redirect);

        @$signon->let_in($signon->accept($this->token($signon, $user, ['sid' => str_repeat('a', 32)])));
        @$signon->let_in($signon->accept($this->token($signon, $user, ['sid' => str_repeat('b', 32)])));
        $plugin->logoutpage_hook();
        $this->assertSame(maker::ISSUER . '/sso/ended?sid=' . str_repeat('b', 32), $redirect);

        $redirect = 'as it was';
        set_config('endvisit', 0, 'auth_bridge');
        $plugin->logoutpage_hook();
        set_config('endvisit', 1, 'auth_bridge');
        @$signon->let_in($signon->accept($this->token($signon, $user)));
        $plugin->logoutpage_hook();
        $this->assertSame('as it was', $redirect);
    }

    public function test_the_login_page_has_a_link_if_wanted() {
        $this->sign_on();
        $plugin = get_auth_plugin('bridge');
        $links = $plugin->loginpage_idp_list('');
        $this->assertSame('/auth/bridge/start.php', $links[0]['url']->out_as_local_url());
        set_config('loginbutton', 0, 'auth_bridge');
        $this->assertSame([], $plugin->loginpage_idp_list(''));
    }

    public function test_settings_take_only_what_makes_sense() {
        global $CFG;
        require_once($CFG->libdir . '/adminlib.php');
        $this->sign_on();
        $address = new \auth_bridge\setting\address('auth_bridge/x', '', '', '', PARAM_URL);
        foreach (['' => true, 'https://bridge.example.com' => true, 'http://127.0.0.1:8000' => true, 'http://bridge.example.com' => false,
                'https://u:p@bridge.example.com' => false, 'ftp://bridge.example.com' => false] as $value => $valid) {
            $this->assertSame($valid, $address->validate($value) === true, $value);
        }
        $capabilities = new \auth_bridge\setting\capabilities('auth_bridge/x', '', '', '');
        $this->assertTrue($capabilities->validate("moodle/user:update\n moodle/site:config\n"));
        $this->assertStringContainsString('moodle/user:updaet', $capabilities->validate('moodle/user:updaet'));
        $keys = new \auth_bridge\setting\public_keys('auth_bridge/x', '', '', '');
        $this->assertTrue($keys->validate(self::$bridge->public));
        $this->assertTrue($keys->validate(''));
        foreach (['x', '-----BEGIN PRIVATE KEY-----', self::$bridge->public . '-----BEGIN PRIVATE KEY-----'] as $value) {
            $this->assertNotSame(true, $keys->validate($value));
        }
        $tenant = new \auth_bridge\setting\tenant('auth_bridge/x', '', '', '');
        $this->assertTrue($tenant->validate(''));
        $this->assertNotSame(true, $tenant->validate('nosuch'));
    }
}
