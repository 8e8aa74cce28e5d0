<?php
// SPDX-License-Identifier: GPL-3.0-or-later

$clean_up = static function (site $site): void {
    check_same('', (new act($site, 'clean_up'))->end());
};

$remembered = static function (site $site): array {
    return array_map(static function (\stdClass $record): string {
        return $record->jti;
    }, $site->db->get_records('auth_bridge_token'));
};

return [
    'of fifty processes that bring one token at once, one gets in' => static function () use ($remembered): void {
        $site = site::fresh();
        $user = $site->add_user();
        $token = $site->token($user, maker::NONCE, ['jti' => str_repeat('ab', 16)]);
        // Each has a session that knows the nonce, so that nothing is left but the register.
        $gate = fopen("$site->folder/gate", 'c');
        flock($gate, LOCK_EX);
        $acts = [];
        for ($i = 0; $i < 50; $i++) {
            $acts[] = new act($site, 'accept', $token);
        }
        flock($gate, LOCK_UN);
        $said = array_count_values(array_map(static function (act $act): string {
            return $act->end();
        }, $acts));
        check_same(['in' => 1, 'replay' => 49], ['in' => $said["in $user->id"] ?? 0, 'replay' => $said['replay'] ?? 0]);
        check_same([str_repeat('ab', 16)], $remembered($site));
    },
    'what is without a session inherits nothing' => static function (): void {
        $site = site::fresh();
        $jti = str_repeat('ab', 16);
        $used = ['jti' => $jti, 'timeexpires' => maker::NOW + 60, 'heir' => hash('sha256', '')];
        $site->db->insert_record('auth_bridge_token', (object) $used);
        touch("$site->folder/gate");
        check_same('replay', (new act($site, 'accept', $site->token($site->add_user(), maker::NONCE, ['jti' => $jti])))->end());
    },
    'what cannot be noted is not let in' => static function () use ($remembered): void {
        $site = site::fresh();
        $site->db->run("CREATE TRIGGER full BEFORE INSERT ON auth_bridge_token BEGIN SELECT RAISE(ABORT, 'disk is full'); END");
        $user = $site->add_user();
        $browser = new browser($site);
        check_same('/login/index.php', $browser->bring($site->token($user, $browser->begin()))->location);
        check_same([0, ["refused $user->id replay"], []], [$browser->user(), $site->outcomes(), $remembered($site)]);
    },
    'the task forgets what expired a minute ago, and nothing else' => static function () use ($clean_up, $remembered): void {
        $site = site::fresh();
        foreach (['a' => 60, 'b' => 0, 'c' => -60, 'd' => -61, 'e' => -86400] as $jti => $seconds) {
            $site->db->insert_record('auth_bridge_token', (object) ['jti' => $jti, 'timeexpires' => maker::NOW + $seconds]);
        }
        $clean_up($site);
        check_same(['a', 'b', 'c'], $remembered($site));
        $site->wait(1);
        $clean_up($site);
        check_same(['a', 'b'], $remembered($site));
    },
    'a token is remembered for as long as it could be let in' => static function () use ($clean_up): void {
        $site = site::fresh();
        $user = $site->add_user();
        $one = new browser($site);
        $jti = ['jti' => str_repeat('ab', 16)];
        $one->bring($site->token($user, $one->begin(), $jti));
        $other = new browser($site);
        $again = $site->token($user, $other->begin(), $jti);
        // The last second at which its times are right.
        $site->wait(64);
        $clean_up($site);
        check_same('/login/index.php', $other->bring($again)->location);
        check_same(["accepted $user->id", "refused $user->id replay"], $site->outcomes());
    },
    'a refused account has used its token up' => static function (): void {
        $site = site::fresh();
        $user = $site->add_user(['suspended' => 1]);
        $browser = new browser($site);
        $other = new browser($site);
        $jti = ['jti' => str_repeat('ab', 16)];
        $browser->bring($site->token($user, $browser->begin(), $jti));
        $site->db->set_field('user', 'suspended', 0, ['id' => $user->id]);
        $other->bring($site->token($user, $other->begin(), $jti));
        check_same(["refused $user->id suspended", "refused $user->id replay"], $site->outcomes());
    },
];
