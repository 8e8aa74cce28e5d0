<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Plays the bridge for the plain tests: keys, and tokens as honest or as wrong as asked for. Needs no Totara.
 */
final class maker {
    public const ISSUER = 'https://bridge.example.com';
    public const AUDIENCE = 'https://learn.example.com';
    public const NOW = 1700000000;
    public const NONCE = '00112233445566778899aabbccddeeff';

    private $private;
    public $public;
    public $kid;

    public function __construct(?string $private_pem = null) {
        $made = $private_pem === null ? openssl_pkey_new(['private_key_bits' => 2048]) : openssl_pkey_get_private($private_pem);
        $this->private = $made;
        $this->public = openssl_pkey_get_details($made)['key'];
        $this->kid = $this->jwk()['kid'];
    }

    /** The public half as RFC 7517 writes it. */
    public function jwk(): array {
        $rsa = openssl_pkey_get_details($this->private)['rsa'];
        $n = self::encode($rsa['n']);
        $e = self::encode($rsa['e']);
        $kid = self::encode(hash('sha256', '{"e":"' . $e . '","kty":"RSA","n":"' . $n . '"}', true));
        return ['kty' => 'RSA', 'use' => 'sig', 'alg' => 'RS256', 'kid' => $kid, 'n' => $n, 'e' => $e];
    }

    public function header(array $other = []): array {
        return $other + ['alg' => 'RS256', 'typ' => 'site+jwt', 'kid' => $this->kid];
    }

    /** Right claims, but for those that are given; one that is given as null is left out. */
    public static function claims(array $other = []): array {
        $claims = $other + [
            'iss' => self::ISSUER,
            'aud' => self::AUDIENCE,
            'sub' => '42',
            'username' => 'anna',
            'nonce' => self::NONCE,
            'target' => '/course/view.php?id=7',
            'iat' => self::NOW,
            'exp' => self::NOW + 60,
            'jti' => 'ffeeddccbbaa99887766554433221100',
        ];
        return self::without_nulls($claims);
    }

    public static function without_nulls(array $members): array {
        return array_filter($members, static function ($value): bool {
            return $value !== null;
        });
    }

    public function token(array $claims = [], array $header = []): string {
        return $this->sign(json_encode($this->header($header)), json_encode(self::claims($claims)));
    }

    /** A well signed token of any texts. */
    public function sign(string $header, string $payload): string {
        return $this->sign_parts(self::encode($header), self::encode($payload));
    }

    /** The same of parts that are spelled already. */
    public function sign_parts(string $header, string $payload): string {
        openssl_sign("$header.$payload", $signature, $this->private, OPENSSL_ALGO_SHA256);
        return "$header.$payload." . self::encode($signature);
    }

    public static function encode(string $bytes): string {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
