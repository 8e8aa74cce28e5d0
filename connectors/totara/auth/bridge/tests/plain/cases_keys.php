<?php
// SPDX-License-Identifier: GPL-3.0-or-later

use auth_bridge\key_source;
use auth_bridge\public_keys;
use auth_bridge\strict;

/** A cache, a bridge that publishes, and a count of how often it was asked. */
final class published {
    public $kept = [];
    public $asked = 0;
    public $locked = 0;
    public $answer;

    public function __construct(?string $answer) {
        $this->answer = $answer;
    }

    public function get(string $key) {
        return $this->kept[$key] ?? false;
    }

    public function set(string $key, array $value): void {
        $this->kept[$key] = $value;
    }

    public function source(string $address = 'https://bridge.example.com/jwks'): key_source {
        return new key_source($this, $address, function (string $asked) use ($address): ?string {
            check_same($address, $asked);
            $this->asked++;
            return $this->answer;
        }, function (callable $job): array {
            $this->locked++;
            return $job();
        });
    }
}

$first = new maker();
$second = new maker();

$set = static function (array ...$jwks): string {
    return json_encode(['keys' => $jwks]);
};

return [
    'a published key verifies what it signed' => static function () use ($first, $second, $set): void {
        $keys = public_keys::from_jwks($set($first->jwk(), $second->jwk()));
        check_same([$first->kid, $second->kid], array_keys($keys));
        list($head, $payload, $signature) = explode('.', $first->token());
        $bytes = strict::base64url($signature);
        check_same(1, openssl_verify("$head.$payload", $bytes, $keys[$first->kid], OPENSSL_ALGO_SHA256));
        check_same(0, openssl_verify("$head.$payload", $bytes, $keys[$second->kid], OPENSSL_ALGO_SHA256));
    },
    'keys of any allowed size are read' => static function () use ($set): void {
        foreach ([2048, 2056, 3072, 4096] as $bits) {
            openssl_pkey_export(openssl_pkey_new(['private_key_bits' => $bits]), $pem);
            $maker = new maker($pem);
            check_same([$maker->kid], array_keys(public_keys::from_jwks($set($maker->jwk()))));
        }
    },
    'a key goes by its own name only, and for signing RS256 only' => static function () use ($first, $second, $set): void {
        foreach ([['kid' => $second->kid], ['kid' => 'mine'], ['kid' => null], ['kid' => ['x']], ['use' => 'enc'], ['use' => null], ['alg' => 'HS256'],
                ['alg' => null], ['alg' => 'RS512'], ['kty' => 'oct'], ['kty' => 'EC'], ['n' => ''], ['n' => 'AQAB'], ['e' => ''], ['n' => null],
                ['e' => 7], ['n' => $first->jwk()['n'] . '='], ['d' => 'AQAB']] as $other) {
            check_same([], public_keys::from_jwks($set($other + $first->jwk())));
        }
    },
    'keys of 1024 bits are not taken' => static function () use ($set): void {
        openssl_pkey_export(openssl_pkey_new(['private_key_bits' => 1024]), $pem);
        $short = new maker($pem);
        check_same([], public_keys::from_jwks($set($short->jwk())));
        check_same([], public_keys::from_pem($short->public));
    },
    'what is no set of keys holds none' => static function (): void {
        foreach (['', 'x', 'null', '1', '[]', '{}', '{"keys":1}', '{"keys":[]}', '{"keys":[1,"x",null,[]]}', '{"keys":{"a":{"kty":"RSA"}}}'] as $text) {
            check_same([], public_keys::from_jwks($text));
        }
    },
    'a pasted key has the name it is published by' => static function () use ($first, $second): void {
        $keys = public_keys::from_pem("the first:\n$first->public\r\n\r\n$second->public");
        check_same([$first->kid, $second->kid], array_keys($keys));
        check_same([], public_keys::from_pem('-----BEGIN PUBLIC KEY-----AAAA-----END PUBLIC KEY-----'));
        check_same([], public_keys::from_pem(''));
    },
    'no key of another kind is taken' => static function (): void {
        $key = openssl_pkey_get_details(openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']))['key'];
        check_same([], public_keys::from_pem($key));
    },
    'keys are asked for once, and kept for an hour' => static function () use ($first, $set): void {
        $bridge = new published($set($first->jwk()));
        foreach ([0, 1, 61, 3599] as $later) {
            check(is_string($bridge->source()->find($first->kid, 1000000 + $later)), "no key after $later seconds");
        }
        check_same([1, 1], [$bridge->asked, $bridge->locked]);
        check(is_string($bridge->source()->find($first->kid, 1003600)), 'no key after an hour');
        check_same(2, $bridge->asked);
    },
    'an unknown key is asked for once a minute, whatever it is called' => static function () use ($first, $set): void {
        $bridge = new published($set($first->jwk()));
        for ($second = 0; $second < 120; $second++) {
            check_same(null, $bridge->source()->find("unknown$second", 1000000 + $second));
        }
        check_same(2, $bridge->asked);
    },
    'a silent bridge is asked once a minute too' => static function () use ($first): void {
        $bridge = new published(null);
        for ($second = 0; $second < 120; $second++) {
            check_same(null, $bridge->source()->find($first->kid, 1000000 + $second));
        }
        check_same(2, $bridge->asked);
    },
    'a new key is found a minute after the last question at the latest' => static function () use ($first, $second, $set): void {
        $bridge = new published($set($first->jwk()));
        $bridge->source()->find($first->kid, 1000000);
        $bridge->answer = $set($first->jwk(), $second->jwk());
        check_same(null, $bridge->source()->find($second->kid, 1000059));
        check(is_string($bridge->source()->find($second->kid, 1000060)), 'the new key is not found');
    },
    'a key that is withdrawn ends within the hour' => static function () use ($first, $second, $set): void {
        $bridge = new published($set($first->jwk()));
        $bridge->source()->find($first->kid, 1000000);
        $bridge->answer = $set($second->jwk());
        check(is_string($bridge->source()->find($first->kid, 1003599)), 'it ended early');
        check_same(null, $bridge->source()->find($first->kid, 1003600));
    },
    'while the bridge is silent its keys are good for a day' => static function () use ($first, $set): void {
        foreach ([null, '', 'oops', '{"keys":[]}'] as $silence) {
            $bridge = new published($set($first->jwk()));
            $bridge->source()->find($first->kid, 1000000);
            $bridge->answer = $silence;
            check(is_string($bridge->source()->find($first->kid, 1000000 + 86399)), 'it ended early');
            check_same(null, $bridge->source()->find($first->kid, 1000000 + 86400));
        }
    },
    'the keys of one address are not those of another' => static function () use ($first, $set): void {
        $bridge = new published($set($first->jwk()));
        $bridge->source()->find($first->kid, 1000000);
        $bridge->answer = null;
        check_same(null, $bridge->source('https://other.example/jwks')->find($first->kid, 1000001));
    },
];
