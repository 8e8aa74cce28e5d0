<?php
// SPDX-License-Identifier: GPL-3.0-or-later

const LOGIN = '/auth/bridge/login.php';

/** What a page of a sign-on tells caches and the next page. */
$check_private = static function (answer $answer): void {
    check_same(['no-store', 'no-referrer'], [$answer->header('cache-control'), $answer->header('referrer-policy')]);
};

/** Somebody who came by the bridge: their browser. */
$signed_in = static function (site $site, \stdClass $user, array $claims = []): browser {
    $browser = new browser($site);
    check_same('/course/view.php?id=7', $browser->bring($site->token($user, $browser->begin(), $claims))->location);
    check_same((int) $user->id, $browser->user());
    $site->log();
    return $browser;
};

/** The events of a log by their last word, and whom they are about. */
$events = static function (site $site): array {
    return array_map(static function (array $event): string {
        return preg_replace('/.*\\\\/', '', $event[0]) . ' ' . $event[1]['about'];
    }, $site->log());
};

return [
    'from start.php by way of the bridge to the page that the token names' => static function () use ($check_private, $events): void {
        $site = site::fresh();
        $user = $site->add_user();
        $browser = new browser($site);
        $nonce = $browser->begin();
        $check_private($browser->get('/auth/bridge/start.php'));
        $before = $browser->cookie;
        $answer = $browser->post(LOGIN, ['token' => $site->token($user, $nonce)]);
        check_same([303, "{$site->served->url}/course/view.php?id=7"], [$answer->status, $answer->header('location')]);
        $check_private($answer);
        check($browser->cookie !== $before, 'the session has kept its name');
        $log = $site->log();
        check_same(['auth_bridge\event\login_accepted', ['about' => (int) $user->id, 'reason' => '',
            'says' => "The user with id '$user->id' was signed in by a token of the bridge."]], $log[0]);
        check_same(['core\event\user_loggedin', ['about' => (int) $user->id]], $log[1]);
        check_same(['apply_concurrent_login_limit', ['about' => (int) $user->id, 'keep' => $browser->cookie]], $log[2]);
        check_same([3, (int) $user->id], [count($log), $browser->user()]);
        $old = new browser($site);
        $old->cookie = $before;
        check_same(0, $old->user());
        check_same([], $events($site));
    },
    'a token that comes in the address is refused, and has not been used up' => static function () use ($check_private): void {
        $site = site::fresh();
        $user = $site->add_user();
        $browser = new browser($site);
        $token = $site->token($user, $browser->begin());
        foreach (["?token=$token", "?token=$token&again=1", ''] as $query) {
            $answer = $browser->get(LOGIN . $query);
            check_same([303, '/login/index.php', 0], [$answer->status, $answer->location, $browser->user()]);
            $check_private($answer);
            check_same(['refused 0 malformed'], $site->outcomes());
        }
        check_same('/course/view.php?id=7', $browser->bring($token)->location);
    },
    'what is no token in its characters goes no further' => static function (): void {
        $site = site::fresh();
        $browser = new browser($site);
        $browser->begin();
        $bodies = ['', 'token=', 'token[]=a.b.c', 'token=a.b.c%0a', 'token=%3Cscript%3E', 'token=a+b', 'tokens=a.b.c', 'token=%00',
            'token=' . str_repeat('a', 4097)];
        foreach ($bodies as $body) {
            foreach ([$browser, new browser($site)] as $whoever) {
                check_same('/login/index.php', $whoever->post(LOGIN, $body)->location);
                check_same(['refused 0 malformed'], $site->outcomes());
            }
        }
        check((new browser($site))->post(LOGIN, 'token=' . str_repeat('a', 4096))->asks_again(), 'the longest is not taken');
    },
    'every refusal is the same page, and its reason is in the log alone' => static function (): void {
        $site = site::fresh();
        $pages = [];
        foreach (['suspended' => ['suspended' => 1], 'unconfirmed' => ['confirmed' => 0]] as $reason => $fields) {
            $user = $site->add_user($fields + ['username' => $reason]);
            $browser = new browser($site);
            $answer = $browser->bring($site->token($user, $browser->begin()));
            unset($answer->headers['date']);
            $pages[] = [$answer->status, $answer->headers, $answer->body, $browser->session()];
            list(list(, $said)) = $site->log();
            check_same([(int) $user->id, $reason], [$said['about'], $said['reason']]);
            check(strpos($said['says'], "A sign-on by the bridge for the user with id '$user->id' was refused: ") === 0, $said['says']);
        }
        check_same($pages[0], $pages[1]);
        check_same(['user' => 0, 'auth_bridge' => [], 'loginerrormsg' => one_case::MESSAGE], $pages[0][3]);
    },
    'a browser that kept its cookie back has one more chance' => static function () use ($check_private): void {
        $site = site::fresh();
        $user = $site->add_user();
        $browser = new browser($site);
        $token = $site->token($user, $browser->begin());
        $bare = new browser($site);
        $answer = $bare->post(LOGIN, ['token' => $token]);
        check($answer->asks_again(), $answer->body);
        check_same([[], ''], [$answer->cookies, $bare->cookie]);
        $check_private($answer);
        check(strpos($answer->body, '<input type="hidden" name="token" value="' . $token . '">') !== false, 'the token is not in it');
        check(strpos($answer->body, "<form method=\"post\" action=\"{$site->served->url}/auth/bridge/login.php\">") !== false, 'it leads elsewhere');
        preg_match('~<script>(.*)</script>~', $answer->body, $script);
        $hash = base64_encode(hash('sha256', $script[1], true));
        check_same("default-src 'none'; script-src 'sha256-$hash'; base-uri 'none'; frame-ancestors 'none'", $answer->header('content-security-policy'));
        check_same('/course/view.php?id=7', $browser->post(LOGIN, ['token' => $token, 'again' => 1])->location);
    },
    'a browser that began nothing is asked once and then refused' => static function (): void {
        $site = site::fresh();
        $user = $site->add_user();
        $token = $site->token($user, (new browser($site))->begin());
        $thief = new browser($site);
        check($thief->post(LOGIN, ['token' => $token])->asks_again(), 'it is not asked');
        check_same('/login/index.php', $thief->post(LOGIN, ['token' => $token, 'again' => 1])->location);
        check_same([0, ["refused $user->id nonce"]], [$thief->user(), $site->outcomes()]);
    },
    'somebody else is signed out before, and the new one gets in with the next request' => static function () use ($signed_in, $events, $check_private): void {
        $site = site::fresh();
        $anna = $site->add_user();
        $ben = $site->add_user(['username' => 'ben']);
        $browser = $signed_in($site, $anna);
        $hers = $browser->cookie;
        $carl = $site->add_user(['username' => 'carl']);
        $elsewhere = new browser($site);
        $used = $site->token($carl, $elsewhere->begin());
        $elsewhere->bring($used);
        $site->log();
        $jti = bin2hex(random_bytes(16));
        $token = $site->token($ben, $browser->begin(), ['jti' => $jti]);
        $answer = $browser->post(LOGIN, ['token' => $token]);
        check($answer->asks_again(), "it leads to $answer->location");
        $check_private($answer);
        check_same(["user_loggedout $anna->id"], $events($site));
        check_same([['user' => 0]], [$browser->session()]);
        // Who may present it once more is known by a digest.
        check_same(hash('sha256', $browser->cookie), $site->db->get_field('auth_bridge_token', 'heir', ['jti' => $jti]));
        check_same('/login/index.php', $browser->post(LOGIN, ['token' => $used, 'again' => 1])->location);
        check_same(["refused $carl->id nonce"], $site->outcomes());
        $old = new browser($site);
        $old->cookie = $hers;
        check_same(0, $old->user());
        foreach ([new browser($site), $old] as $another) {
            check_same('/login/index.php', $another->post(LOGIN, ['token' => $token, 'again' => 1])->location);
            check_same(["refused $ben->id nonce"], $site->outcomes());
        }
        check_same('/course/view.php?id=7', $browser->post(LOGIN, ['token' => $token, 'again' => 1])->location);
        check_same([(int) $ben->id, ["accepted $ben->id"]], [$browser->user(), $site->outcomes()]);
        check_same('/login/index.php', $browser->post(LOGIN, ['token' => $token, 'again' => 1])->location);
        check_same(["refused $ben->id nonce"], $site->outcomes());
    },
    'what is handed on is looked at once more' => static function () use ($signed_in): void {
        $site = site::fresh();
        $ben = $site->add_user(['username' => 'ben']);
        foreach (['expired' => 0, 'suspended' => $ben->id] as $reason => $about) {
            $browser = $signed_in($site, $site->add_user(['username' => "before $reason"]));
            $token = $site->token($ben, $browser->begin());
            check($browser->post(LOGIN, ['token' => $token])->asks_again(), 'nobody was signed out');
            $reason === 'expired' ? $site->wait(65) : $site->db->set_field('user', 'suspended', 1, ['id' => $ben->id]);
            check_same('/login/index.php', $browser->post(LOGIN, ['token' => $token, 'again' => 1])->location);
            check_same([0, ["refused $about $reason"]], [$browser->user(), $site->outcomes()]);
        }
    },
    'a refused token signs nobody out' => static function () use ($signed_in): void {
        $site = site::fresh();
        $anna = $site->add_user();
        $browser = $signed_in($site, $anna);
        $ben = $site->add_user(['username' => 'ben', 'suspended' => 1]);
        $browser->bring($site->token($ben, $browser->begin()));
        check_same([(int) $anna->id, ["refused $ben->id suspended"]], [$browser->user(), $site->outcomes()]);
    },
    'whoever is in already stays in the session they have' => static function () use ($signed_in, $events): void {
        $site = site::fresh();
        $user = $site->add_user();
        $site->set_site('preventmultiplelogins', '1');
        $browser = $signed_in($site, $user, ['sid' => str_repeat('a', 32)]);
        $before = $browser->cookie;
        $answer = $browser->post(LOGIN, ['token' => $site->token($user, $browser->begin(), ['sid' => str_repeat('b', 32)])]);
        check_same(['/course/view.php?id=7', ["login_accepted $user->id"]], [$answer->location, $events($site)]);
        check_same([$before, str_repeat('b', 32)], [$browser->cookie, $browser->session()['auth_bridge_sid']]);
    },
    'an administrator who looks through somebody\'s eyes is signed out like anybody else' => static function () use ($events): void {
        $site = site::fresh();
        $user = $site->add_user();
        $browser = new browser($site);
        $browser->post('/here.php', ['user' => $user->id, 'real' => 2]);
        $answer = $browser->post(LOGIN, ['token' => $site->token($user, $browser->begin())]);
        check($answer->asks_again(), "it leads to $answer->location");
        check_same([["user_loggedout $user->id"], 0], [$events($site), $browser->user()]);
    },
    'the guest\'s session becomes theirs' => static function () use ($events): void {
        $site = site::fresh();
        $user = $site->add_user();
        $browser = new browser($site);
        $browser->post('/here.php', ['user' => 1]);
        $before = $browser->cookie;
        check_same('/course/view.php?id=7', $browser->post(LOGIN, ['token' => $site->token($user, $browser->begin())])->location);
        check_same(["login_accepted $user->id", "user_loggedin $user->id", "apply_concurrent_login_limit $user->id"], $events($site));
        check_same([true, (int) $user->id], [$browser->cookie !== $before, $browser->user()]);
    },
    'where one session is allowed, the others end first' => static function () use ($events): void {
        $site = site::fresh();
        $user = $site->add_user();
        $site->set_site('preventmultiplelogins', '1');
        $browser = new browser($site);
        $browser->bring($site->token($user, $browser->begin()));
        check_same(["login_accepted $user->id", "kill_user_sessions $user->id", "user_loggedin $user->id",
            "apply_concurrent_login_limit $user->id"], $events($site));
    },
    'the page that was wanted is used once, and so is the message' => static function (): void {
        $site = site::fresh();
        $user = $site->add_user();
        $browser = new browser($site);
        $browser->post('/here.php', ['wantsurl' => "{$site->served->url}/my/courses.php"]);
        $browser->bring($site->token($user, $browser->begin(), ['iss' => 'https://evil.example']));
        check_same(one_case::MESSAGE, $browser->session()['loginerrormsg']);
        check_same('/my/courses.php', $browser->bring($site->token($user, $browser->begin(), ['target' => '/']))->location);
        $session = $browser->session();
        check_same([false, false], [isset($session['wantsurl']), isset($session['loginerrormsg'])]);
    },
    'the page that is wanted is never given in the address' => static function (): void {
        $site = site::fresh();
        $user = $site->add_user();
        $browser = new browser($site);
        $address = $browser->get('/auth/bridge/start.php?wantsurl=/x&target=/x&nonce=' . maker::NONCE)->header('location');
        $nonce = substr($address, -32);
        check($nonce !== maker::NONCE, 'the nonce was taken from the address');
        check_same('/', $browser->bring($site->token($user, $nonce, ['target' => '/']))->location);
    },
    'a site that is not set up sends nobody on and lets nobody in' => static function (): void {
        foreach (['set' => ['bridgeurl', ' '], 'set_site' => ['auth', 'oauth2']] as $how => $setting) {
            $site = site::fresh();
            $user = $site->add_user();
            $browser = new browser($site);
            $token = $site->token($user, $browser->begin());
            $site->$how(...$setting);
            check_same('/login/index.php', $browser->get('/auth/bridge/start.php')->location);
            check_same('/login/index.php', $browser->bring($token)->location);
            check_same([0, ['refused 0 notconfigured', 'refused 0 notconfigured']], [$browser->user(), $site->outcomes()]);
        }
    },
    'while the site is upgraded nothing is begun or used up' => static function (): void {
        $site = site::fresh();
        $user = $site->add_user();
        $browser = new browser($site);
        $token = $site->token($user, $browser->begin());
        $site->set_site('upgraderunning', '1');
        check_same('/admin/index.php', $browser->get('/auth/bridge/start.php')->location);
        check_same('/admin/index.php', $browser->bring($token)->location);
        $site->set_site('upgraderunning', '');
        check_same('/course/view.php?id=7', $browser->bring($token)->location);
    },
    'tabs begun side by side all end well' => static function (): void {
        $site = site::fresh();
        $user = $site->add_user();
        $browser = new browser($site);
        $nonces = [$browser->begin(), $browser->begin(), $browser->begin()];
        foreach (array_reverse($nonces) as $number => $nonce) {
            check_same("/course/view.php?id=$number", $browser->bring($site->token($user, $nonce, ['target' => "/course/view.php?id=$number"]))->location);
        }
    },
    'whoever logs out is sent on to what ends the visit, if the token told it and it is wanted' => static function () use ($signed_in): void {
        $site = site::fresh();
        $user = $site->add_user();
        $sid = str_repeat('a', 32);
        $browser = $signed_in($site, $user, ['sid' => $sid]);
        check_same(maker::ISSUER . "/sso/ended?sid=$sid", $browser->post('/logout.php')->location);
        check_same([0, '/'], [$browser->user(), $browser->post('/logout.php')->location]);
        check_same('/', $signed_in($site, $user)->post('/logout.php')->location);
        $browser = $signed_in($site, $user, ['sid' => $sid]);
        $site->set('endvisit', '0');
        check_same('/', $browser->post('/logout.php')->location);
        $site->set('endvisit', '1');
        $browser = $signed_in($site, $user, ['sid' => $sid]);
        $site->set('bridgeurl', '');
        check_same('/', $browser->post('/logout.php')->location);
    },
];
