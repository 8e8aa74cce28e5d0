<?php
// SPDX-License-Identifier: GPL-3.0-or-later

use auth_bridge\claims;
use auth_bridge\refused;
use auth_bridge\token_verifier;

$ours = new maker();
$theirs = new maker();

$keys = static function (string $kid) use ($ours): ?string {
    return $kid === $ours->kid ? $ours->public : null;
};

$verify = static function (string $token, int $now = maker::NOW, int $leeway = 5) use ($keys): claims {
    return (new token_verifier(maker::ISSUER, maker::AUDIENCE, $leeway))->verify($token, $keys, $now);
};

$check_refused = static function (string $reason, string $token, int $now = maker::NOW, int $leeway = 5) use ($verify): void {
    try {
        $verify($token, $now, $leeway);
    } catch (refused $refused) {
        check_same($reason, $refused->reason);
        return;
    }
    throw new \Exception('it was let in');
};

return [
    'an honest token is let in, and says what it says' => static function () use ($ours, $verify): void {
        $claims = $verify($ours->token());
        check_same(
            [42, 'anna', maker::NONCE, '/course/view.php?id=7', 'ffeeddccbbaa99887766554433221100', maker::NOW + 60],
            [$claims->userid, $claims->username, $claims->nonce, $claims->target, $claims->jti, $claims->expires]
        );
    },
    'claims that we do not know do no harm' => static function () use ($ours, $verify): void {
        check_same(42, $verify($ours->token(['given_name' => 'Anna: "the first"', 'auth_time' => 1]))->userid);
    },
    'what ends the visit to the bridge may be there, and is 32 digits then' => static function () use ($ours, $verify, $check_refused): void {
        check_same('', $verify($ours->token())->sid);
        check_same(str_repeat('0a', 16), $verify($ours->token(['sid' => str_repeat('0a', 16)]))->sid);
        foreach (['', 'x', str_repeat('A', 32), str_repeat('a', 33), str_repeat('a', 32) . "\n", '&x=' . str_repeat('a', 29), 7, true] as $sid) {
            $check_refused('claims', $ours->token(['sid' => $sid]));
        }
    },
    'a flipped bit anywhere is refused' => static function () use ($ours): void {
        // Whatever key the token may name by then, it is ours.
        $token = $ours->token();
        $alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
        for ($at = 0; $at < strlen($token); $at++) {
            $value = strpos($alphabet, $token[$at]);
            for ($bit = 0; $bit < 6; $bit++) {
                $changed = $token;
                $changed[$at] = $value === false ? $alphabet[$bit] : $alphabet[$value ^ (1 << $bit)];
                try {
                    (new token_verifier(maker::ISSUER, maker::AUDIENCE))->verify($changed, static function () use ($ours): string {
                        return $ours->public;
                    }, maker::NOW);
                } catch (refused $refused) {
                    continue;
                }
                throw new \Exception("let in with bit $bit of character $at changed");
            }
        }
    },
    'a token cut anywhere is refused' => static function () use ($ours, $verify): void {
        $token = $ours->token();
        for ($length = 0; $length < strlen($token); $length++) {
            try {
                $verify(substr($token, 0, $length));
            } catch (refused $refused) {
                continue;
            }
            throw new \Exception("let in with $length characters");
        }
    },
    'no algorithm but RS256, whatever its signature' => static function () use ($ours, $check_refused): void {
        $claims = maker::encode(json_encode(maker::claims()));
        foreach (['none', 'None', 'nOnE', 'NONE', '', 'rs256', 'RS384', 'RS512', 'PS256', 'ES256', 'HS512'] as $algorithm) {
            $head = maker::encode(json_encode($ours->header(['alg' => $algorithm])));
            $check_refused('header', "$head.$claims.");
            $check_refused('header', "$head.$claims.AAAA");
            $check_refused('header', $ours->token([], ['alg' => $algorithm]));
        }
    },
    'HS256 with the public key for a secret is refused' => static function () use ($ours, $check_refused): void {
        $input = maker::encode(json_encode($ours->header(['alg' => 'HS256']))) . '.' . maker::encode(json_encode(maker::claims()));
        foreach ([$ours->public, trim($ours->public), '', $ours->kid] as $secret) {
            $check_refused('header', $input . '.' . maker::encode(hash_hmac('sha256', $input, $secret, true)));
        }
    },
    'a signature by another digest of the same key is refused' => static function () use ($check_refused): void {
        $key = openssl_pkey_new(['private_key_bits' => 2048]);
        openssl_pkey_export($key, $pem);
        $other = new maker($pem);
        $input = maker::encode(json_encode($other->header())) . '.' . maker::encode(json_encode(maker::claims()));
        openssl_sign($input, $signature, $key, OPENSSL_ALGO_SHA1);
        $verifier = new token_verifier(maker::ISSUER, maker::AUDIENCE);
        try {
            $verifier->verify($input . '.' . maker::encode($signature), static function () use ($other): string {
                return $other->public;
            }, maker::NOW);
        } catch (refused $refused) {
            check_same('signature', $refused->reason);
            return;
        }
        throw new \Exception('it was let in');
    },
    'another type of token is refused' => static function () use ($ours, $check_refused): void {
        foreach (['JWT', 'launch+jwt', 'read+jwt', 'poke+jwt', 'SITE+JWT', '', 'application/site+jwt'] as $type) {
            $check_refused('header', $ours->token([], ['typ' => $type]));
        }
        $check_refused('header', $ours->sign(json_encode(['alg' => 'RS256', 'kid' => $ours->kid]), json_encode(maker::claims())));
    },
    'the key is the one that the id names, and no other' => static function () use ($ours, $theirs, $check_refused): void {
        $check_refused('key', $theirs->token());
        $check_refused('signature', $theirs->token([], ['kid' => $ours->kid]));
        $check_refused('key', $ours->token([], ['kid' => str_repeat('A', 43)]));
        foreach (['', '../../etc/passwd', "$ours->kid ", "' or 1=1", str_repeat('A', 44), 1, null, true] as $kid) {
            $check_refused('header', $ours->token([], ['kid' => $kid]));
        }
        $check_refused('header', $ours->sign('{"alg":"RS256","typ":"site+jwt"}', json_encode(maker::claims())));
    },
    'keys and extensions that a token brings along are refused' => static function () use ($theirs, $ours, $check_refused): void {
        foreach (['jku' => 'https://evil.example/jwks', 'x5u' => 'https://evil.example/x', 'x5t' => 'AAAA', 'x5c' => 'MIIB',
                'crit' => 'exp', 'b64' => false, 'zip' => 'DEF', 'cty' => 'JWT', 'jwk' => '{}', '' => ''] as $name => $value) {
            $check_refused('header', $ours->token([], [$name => $value]));
            $check_refused('header', $theirs->token([], [$name => $value]));
        }
        foreach (['jwk' => $theirs->jwk(), 'x5c' => ['MIIB'], 'crit' => ['exp'], 'alg' => ['RS256']] as $name => $value) {
            $check_refused('malformed', $theirs->token([], [$name => $value]));
        }
    },
    'times are kept to five seconds' => static function () use ($ours, $verify, $check_refused): void {
        $token = $ours->token();
        foreach ([-5, 0, 59, 60, 64] as $late) {
            check_same(42, $verify($token, maker::NOW + $late)->userid);
        }
        $check_refused('future', $token, maker::NOW - 6);
        foreach ([65, 66, 180, 86400] as $late) {
            $check_refused('expired', $token, maker::NOW + $late);
        }
    },
    'a leeway can be less than five seconds, and never more' => static function () use ($ours, $verify, $check_refused): void {
        check_same(42, $verify($ours->token(), maker::NOW + 59, 0)->userid);
        $check_refused('expired', $ours->token(), maker::NOW + 60, 0);
        $check_refused('expired', $ours->token(), maker::NOW + 60, -100);
        $check_refused('future', $ours->token(), maker::NOW - 1, 0);
        $check_refused('expired', $ours->token(), maker::NOW + 65, 3600);
        $check_refused('future', $ours->token(), maker::NOW - 6, 3600);
    },
    'a life is sixty seconds at most, and more than none' => static function () use ($ours, $check_refused): void {
        foreach ([61, 120, 7200] as $life) {
            $check_refused('lifetime', $ours->token(['exp' => maker::NOW + $life]));
        }
        $check_refused('lifetime', $ours->token(['exp' => maker::NOW]));
        $check_refused('lifetime', $ours->token(['iat' => 1]));
        $check_refused('lifetime', $ours->token(['iat' => maker::NOW + 3, 'exp' => maker::NOW + 2]));
        $check_refused('future', $ours->token(['nbf' => maker::NOW + 6]));
    },
    'times are whole numbers' => static function () use ($ours, $check_refused): void {
        foreach (['iat', 'exp'] as $name) {
            foreach ([null, '', (string) maker::NOW, true, 0, -1] as $value) {
                $check_refused('claims', $ours->token([$name => $value]));
            }
            $check_refused('malformed', $ours->token([$name => [maker::NOW]]));
        }
        $payload = json_encode(maker::claims(['exp' => null]));
        foreach (['1700000060.0', '1.70000006e9', '1e300', '99999999999999999999', '01700000060', '+1700000060', 'NaN', '0x6553f13c'] as $number) {
            $check_refused('malformed', $ours->sign(json_encode($ours->header()), substr($payload, 0, -1) . ',"exp":' . $number . '}'));
        }
        $check_refused('future', $ours->token(['nbf' => 'soon']));
    },
    'the issuer is ours, to the letter' => static function () use ($ours, $check_refused): void {
        foreach ([null, '', 'https://evil.example', maker::ISSUER . '/', 'HTTPS://BRIDGE.EXAMPLE.COM', true, 0] as $issuer) {
            $check_refused('issuer', $ours->token(['iss' => $issuer]));
        }
        $check_refused('malformed', $ours->token(['iss' => [maker::ISSUER]]));
    },
    'the audience is this site, to the letter' => static function () use ($ours, $check_refused): void {
        foreach ([null, '', 'https://other.example', maker::AUDIENCE . '/', maker::AUDIENCE . '.evil.example', true, 0] as $audience) {
            $check_refused('audience', $ours->token(['aud' => $audience]));
        }
        $check_refused('malformed', $ours->token(['aud' => [maker::AUDIENCE]]));
    },
    'names are texts of their form' => static function () use ($ours, $check_refused): void {
        $wrong = [
            'sub' => [null, '', 42, true, '0', '-1', '042', '42 ', ' 42', "42\n", '4.2', '1e3', '0x2a', '42 or 1=1', '٤٢', str_repeat('9', 19)],
            'username' => [null, '', 0, true, "anna\n", "an\0na", str_repeat('a', 101)],
            'nonce' => [null, '', 0, true, strtoupper(maker::NONCE), maker::NONCE . '0', substr(maker::NONCE, 1), maker::NONCE . "\n"],
            'jti' => [null, '', 0, true, 'FFEEDDCCBBAA99887766554433221100', 'short', str_repeat('a', 33), str_repeat('g', 32)],
            'target' => [null, '', 0, true],
        ];
        foreach ($wrong as $name => $values) {
            foreach ($values as $value) {
                $check_refused('claims', $ours->token([$name => $value]));
            }
            $check_refused('malformed', $ours->token([$name => ['x']]));
            $check_refused('malformed', $ours->token([$name => ['a' => 'x']]));
        }
    },
    'a claim told as null is missing' => static function () use ($ours, $check_refused): void {
        $reasons = ['iss' => 'issuer', 'aud' => 'audience', 'sub' => 'claims', 'exp' => 'claims', 'iat' => 'claims', 'jti' => 'claims'];
        foreach ($reasons as $name => $reason) {
            $payload = json_encode([$name => null] + maker::claims());
            $check_refused($reason, $ours->sign(json_encode($ours->header()), $payload));
        }
    },
    'a target that leads elsewhere is refused, and the account is told' => static function () use ($ours, $verify): void {
        try {
            $verify($ours->token(['target' => '//evil.example/']));
        } catch (refused $refused) {
            check_same(['target', 42], [$refused->reason, $refused->userid]);
            return;
        }
        throw new \Exception('it was let in');
    },
    'a name told twice is refused, in the claims and in the header' => static function () use ($ours, $check_refused): void {
        $header = json_encode($ours->header());
        $payload = json_encode(maker::claims());
        foreach (['"sub":"1"', '"s\u0075b":"1"', '"sub" : "42"', "\"sub\"\n:\"1\"", '"exp":1'] as $again) {
            $check_refused('malformed', $ours->sign($header, substr($payload, 0, -1) . ",$again}"));
            $check_refused('malformed', $ours->sign($header, '{' . $again . ',' . substr($payload, 1)));
        }
        $check_refused('malformed', $ours->sign('{"alg":"none",' . substr($header, 1), $payload));
        $check_refused('malformed', $ours->sign(substr($header, 0, -1) . ',"kid":"x"}', $payload));
    },
    'JSON that is not one flat object is refused' => static function () use ($ours, $check_refused): void {
        $header = json_encode($ours->header());
        $payload = json_encode(maker::claims());
        $others = ['', ' ', '[]', 'null', '1', '"x"', "[$payload]", "$payload{}", "$payload,", "$payload\0", "\xef\xbb\xbf$payload",
            substr($payload, 0, -1), substr($payload, 0, -1) . ',}', substr($payload, 0, -1) . ',"x":[]}', substr($payload, 0, -1) . ',"x":{}}', str_replace('"', "'", $payload), "/**/$payload",
            str_replace('anna', "\xff", $payload), str_replace('anna', '\ud800', $payload)];
        foreach ($others as $other) {
            $check_refused('malformed', $ours->sign($header, $other));
            $check_refused('malformed', $ours->sign($other, $payload));
        }
    },
    'base64 is unpadded, of its own alphabet, and canonical' => static function () use ($ours, $check_refused): void {
        list($head, $payload, $signature) = explode('.', $ours->token(['given_name' => '?>?>~~']));
        $check_refused('malformed', "$head.$payload.$signature==");
        $check_refused('malformed', "$head=.$payload.$signature");
        $check_refused('signature', "$head.$payload=.$signature");
        $check_refused('malformed', $ours->sign_parts($head, "$payload="));
        $check_refused('malformed', "$head.$payload." . substr($signature, 0, 100) . "\n" . substr($signature, 100));
        $check_refused('malformed', " $head.$payload.$signature");
        $check_refused('malformed', "$head.$payload.$signature\n");
        $check_refused('malformed', "$head.$payload." . substr($signature, 0, -2) . '+/');
        $check_refused('malformed', "$head.$payload.%41" . substr($signature, 1));
    },
    'a token has three parts, and an end' => static function () use ($ours, $check_refused): void {
        $token = $ours->token();
        list($head, $payload, $signature) = explode('.', $token);
        foreach (['', '.', '..', '...', "$head.$payload", "$token.", "$token.x", ".$token", ".$payload.$signature", "$head.$payload."] as $other) {
            $check_refused('malformed', $other);
        }
        $check_refused('malformed', $ours->token(['padding' => str_repeat('x', 4096)]));
        $check_refused('signature', "$head..$signature");
        $check_refused('signature', "$head.$payload.AAAA");
        $check_refused('signature', "$head.$payload." . maker::encode(str_repeat("\0", 256)));
    },
    'no part of one token serves in another' => static function () use ($ours, $check_refused): void {
        list($head, , $signature) = explode('.', $ours->token());
        list(, $other) = explode('.', $ours->token(['sub' => '1', 'username' => 'admin']));
        $check_refused('signature', "$head.$other.$signature");
    },
];
