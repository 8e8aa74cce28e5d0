<?php
// SPDX-License-Identifier: GPL-3.0-or-later

use auth_bridge\nonces;

const NOW = 1700000000;

return [
    'a nonce is good once, and only where it was made' => static function (): void {
        $here = new nonces(null, NOW);
        $nonce = $here->add('/wanted', NOW);
        check(preg_match('/\A[0-9a-f]{32}\z/', $nonce) === 1, 'it is not 32 hex digits');
        check_same(null, (new nonces(null, NOW))->take($nonce));
        check_same(null, $here->take(str_repeat('0', 32)));
        $later = new nonces($here->to_array(), NOW + 10);
        check_same('/wanted', $later->take($nonce));
        check_same(null, $later->take($nonce));
        check_same(null, (new nonces($later->to_array(), NOW + 10))->take($nonce));
    },
    'it is good for five minutes, by whatever clock' => static function (): void {
        $made = new nonces(null, NOW);
        $nonce = $made->add('/', NOW);
        check_same('/', (new nonces($made->to_array(), NOW + 299))->take($nonce));
        check_same(null, (new nonces($made->to_array(), NOW + 300))->take($nonce));
        check_same(null, (new nonces($made->to_array(), NOW - 1))->take($nonce));
        check((new nonces($made->to_array(), NOW + 300))->is_empty(), 'it is still there');
    },
    'five tabs can sign in side by side, and the sixth takes the place of the first' => static function (): void {
        $tabs = new nonces(null, NOW);
        $made = [];
        for ($i = 0; $i < 6; $i++) {
            $made[] = $tabs->add("/$i", NOW);
        }
        check_same(6, count(array_unique($made)));
        check_same(null, $tabs->take($made[0]));
        for ($i = 5; $i > 0; $i--) {
            check_same("/$i", $tabs->take($made[$i]));
        }
        check($tabs->is_empty(), 'some are left');
    },
    'digits alone are a nonce like any other' => static function (): void {
        $kept = [str_repeat('1', 32) => ['until' => NOW + 9, 'wanted' => '/x']];
        check_same('/x', (new nonces($kept, NOW))->take(str_repeat('1', 32)));
    },
    'a session that holds something else holds none' => static function (): void {
        foreach ([null, false, '', 'x', 7, new \stdClass()] as $kept) {
            check((new nonces($kept, NOW))->is_empty(), 'it holds some');
        }
    },
];
