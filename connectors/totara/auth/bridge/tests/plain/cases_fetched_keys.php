<?php
// SPDX-License-Identifier: GPL-3.0-or-later

use auth_bridge\keys;

/** A sign-on at a site whose keys are fetched: where it ends. */
$come = static function (site $site, \stdClass $user): string {
    $browser = new browser($site);
    return $browser->bring($site->token($user, $browser->begin()))->location;
};

/** How often the keys were asked for, with what options. */
$asked = static function (site $site): array {
    return array_values(array_filter($site->log(), static function (array $event): bool {
        return $event[0] === 'curl';
    }));
};

/** A server of this machine that publishes what a script prints. */
$publish = static function (site $site, string $script): string {
    static $published = null;
    if ($published === null) {
        mkdir("$site->folder/published");
        $published = new served("$site->folder/published");
        register_shutdown_function([$published, 'stop']);
    }
    file_put_contents("$site->folder/published/jwks.php", $script);
    return "$published->url/jwks.php";
};

return [
    'published keys are fetched once, and with certificates looked at' => static function () use ($come, $asked, $publish): void {
        $site = site::fresh();
        $user = $site->add_user();
        $set = json_encode(['keys' => [$site->bridge->jwk()]]);
        $site->set('publickeys', '');
        $site->set('jwksurl', $publish($site, $set));
        check_same(['/course/view.php?id=7', '/course/view.php?id=7'], [$come($site, $user), $come($site, $user)]);
        $asked = $asked($site);
        check_same(1, count($asked));
        $strict = ['CURLOPT_SSL_VERIFYPEER' => 1, 'CURLOPT_SSL_VERIFYHOST' => 2, 'CURLOPT_FOLLOWLOCATION' => 0];
        check_same($strict, array_intersect_key($asked[0][1]['options'], $strict));
        check($asked[0][1]['options']['CURLOPT_TIMEOUT'] <= 5, 'it waits too long');
    },
    'an answer that is another than it should be brings no keys' => static function () use ($come, $asked, $publish): void {
        $site = site::fresh();
        $user = $site->add_user();
        $site->set('publickeys', '');
        $set = json_encode(['keys' => [$site->bridge->jwk()]]);
        $elsewhere = preg_replace('/jwks$/', 'x', $publish($site, $set));
        foreach (["<?php http_response_code(500); ?>$set", "<?php header('Location: $elsewhere', true, 302); ?>$set", $set . str_repeat(' ', 65536), ''] as $script) {
            $site->set('jwksurl', $publish($site, $script));
            check_same(['/login/index.php', ['refused 0 key']], [$come($site, $user), $site->outcomes()]);
            $site->wait(60);
        }
    },
    'keys are never asked for over the open net, or with a name and a password' => static function () use ($come, $asked): void {
        $site = site::fresh();
        $user = $site->add_user();
        $site->set('publickeys', '');
        $site->set('jwksurl', 'http://bridge.example.com/jwks');
        check_same(['/login/index.php', []], [$come($site, $user), $asked($site)]);
        require_once "$site->folder/auth/bridge/classes/keys.php";
        foreach (['https://bridge.example.com/jwks' => true, 'http://127.0.0.1:8000/x' => true, 'http://localhost/x' => true,
                'http://bridge.example.com/jwks' => false, 'http://127.0.0.1.example.com/' => false, 'https://u:p@bridge.example.com/' => false,
                'https://u@bridge.example.com/' => false, 'ftp://127.0.0.1/' => false, '//bridge.example.com/' => false, '' => false] as $address => $safe) {
            check_same($safe, keys::is_safe($address));
        }
    },
    'where keys are pasted nothing is asked for' => static function () use ($come, $asked): void {
        $site = site::fresh();
        check_same(['/course/view.php?id=7', []], [$come($site, $site->add_user()), $asked($site)]);
    },
];
