<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * For tests in another language: verifies tokens that were made there, or makes one to be verified there.
 *
 * Reads one JSON object: {"do": "verify", "tokens": [...], "jwks": "...", "issuer": "...", "audience": "...", "now": 0},
 * or {"do": "make", "key": PEM, "claims": {...}}. Writes JSON: for each token its claims or {"refused": WORD}; or the token.
 */

use auth_bridge\public_keys;
use auth_bridge\refused;
use auth_bridge\token_verifier;

if (PHP_SAPI !== 'cli') {
    exit(1);
}

require __DIR__ . '/load.php';

$asked = json_decode(stream_get_contents(STDIN), true);
if ($asked['do'] === 'make') {
    echo json_encode((new maker($asked['key']))->token($asked['claims']));
    exit(0);
}

$keys = public_keys::from_jwks($asked['jwks']);
$verifier = new token_verifier($asked['issuer'], $asked['audience']);
echo json_encode(array_map(static function (string $token) use ($verifier, $keys, $asked) {
    try {
        return $verifier->verify($token, static function (string $kid) use ($keys): ?string {
            return $keys[$kid] ?? null;
        }, $asked['now']);
    } catch (refused $refused) {
        return ['refused' => $refused->reason];
    }
}, $asked['tokens']));
