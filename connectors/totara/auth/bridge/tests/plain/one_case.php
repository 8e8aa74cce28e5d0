<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * One line of who_gets_in.json, played at the test site.
 */
final class one_case {
    public const MESSAGE = 'Signing in with the academy shop did not work. Please start again from the shop, or sign in here.';

    private $site;
    private $case;

    public function __construct(site $site, array $case) {
        $this->site = $site;
        $this->case = $case;
    }

    /** @param string[] $unnamed the reasons at which the log names no account */
    public function play(array $unnamed): void {
        $this->arrange();
        $user = $this->account();
        $browser = new browser($this->site);
        if (isset($this->case['wanted'])) {
            $browser->post('/here.php', ['wantsurl' => $this->site->served->url . $this->case['wanted']]);
        }
        $token = $this->token($user, $browser);
        $before = $browser->user();
        $this->site->outcomes();
        $answer = $browser->bring($token);
        if (isset($this->case['in'])) {
            check_same([303, $this->case['in'], ["accepted $user->id"]], [$answer->status, $answer->location, $this->site->outcomes()]);
            check_same((int) $user->id, $browser->user());
            return;
        }
        $reason = $this->case['refused'];
        $about = in_array($reason, $unnamed, true) ? 0 : $user->id;
        check_same([303, '/login/index.php', ["refused $about $reason"]], [$answer->status, $answer->location, $this->site->outcomes()]);
        check_same([$before, self::MESSAGE], [$browser->user(), $browser->session()['loginerrormsg']]);
    }

    private function arrange(): void {
        foreach ($this->case['settings'] ?? [] as $name => $value) {
            $this->site->set($name, $value);
        }
        if (isset($this->case['enabled'])) {
            $this->site->set_site('auth', $this->case['enabled']);
        }
    }

    private function account(): \stdClass {
        $there = ['guest' => 1, 'administrator' => 2, 'nobody' => 0][$this->case['who'] ?? ''] ?? null;
        if ($there !== null) {
            return $this->site->db->get_record('user', ['id' => $there]) ?: (object) ['id' => 987654, 'username' => 'nobody'];
        }
        $fields = ($this->case['account'] ?? []) + ['tenant' => 'academy'];
        $tenant = $this->site->db->get_field('tenant', 'id', ['idnumber' => $fields['tenant']]);
        $fields['tenantid'] = $fields['tenant'] === 'gone' ? 987654 : ($tenant ?: null);
        unset($fields['tenant']);
        $user = $this->site->add_user($fields);
        foreach ($this->case['roles'] ?? [] as $power) {
            $this->site->give(empty($power['another']) ? $user : $this->site->add_user(['username' => 'staff']), $power);
        }
        return $user;
    }

    private function token(\stdClass $user, browser $browser): string {
        $nonce = $browser->begin();
        $jti = bin2hex(random_bytes(16));
        if (isset($this->case['before'])) {
            $this->sign_somebody_in($browser, $nonce, $jti);
        }
        if (isset($this->case['nonce'])) {
            $nonce = $this->case['nonce'] === 'made up' ? str_repeat('0', 32) : (new browser($this->site))->begin();
        }
        $this->site->wait($this->case['age'] ?? 0);
        $claims = ($this->case['claims'] ?? []) + ['jti' => $jti];
        foreach ($this->case['times'] ?? [] as $name => $seconds) {
            $claims[$name] = $this->site->now() + $seconds;
        }
        return $this->signed($claims + $this->site->claims($user, $nonce));
    }

    private function sign_somebody_in(browser $browser, string $nonce, string $jti): void {
        if (!in_array('nonce', $this->case['before'], true)) {
            $browser = new browser($this->site);
            $nonce = $browser->begin();
        }
        $claims = in_array('jti', $this->case['before'], true) ? ['jti' => $jti] : [];
        check_same(303, $browser->bring($this->site->token($this->site->add_user(['username' => 'ben']), $nonce, $claims))->status);
    }

    private function signed(array $claims): string {
        $key = $this->case['key'] ?? 'ours';
        $maker = in_array($key, ['another', 'borrowed'], true) ? self::another() : $this->site->bridge;
        $named = ($this->case['header'] ?? []) + ['kid' => $key === 'another' ? $maker->kid : $this->site->bridge->kid];
        $header = json_encode(maker::without_nulls($maker->header($named)));
        $payload = substr(json_encode(maker::claims($claims)), 0, -1) . ($this->case['more'] ?? '') . '}';
        $token = $maker->sign($header, $payload);
        return $key === 'none' ? substr($token, 0, strrpos($token, '.') + 1) : $token;
    }

    private static function another(): maker {
        static $another = null;
        $another = $another ?? new maker();
        return $another;
    }
}
