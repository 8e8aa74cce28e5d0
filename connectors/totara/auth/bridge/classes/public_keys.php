<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * RSA public keys by their name, which is the thumbprint of RFC 7638: a key cannot go by another's name.
 */
final class public_keys {
    public const LEAST_BITS = 2048;
    public const MOST_BITS = 8192;

    /**
     * The usable keys of a published set (RFC 7517). What we cannot use is passed over.
     *
     * @return string[] PEM by key id
     */
    public static function from_jwks(string $json): array {
        $set = json_decode($json, true, 8);
        $listed = is_array($set) && isset($set['keys']) && is_array($set['keys']) ? $set['keys'] : [];
        $found = [];
        foreach (array_slice($listed, 0, 20) as $jwk) {
            $pem = is_array($jwk) ? self::read_jwk($jwk) : null;
            if ($pem !== null) {
                $found[$jwk['kid']] = $pem;
            }
        }
        return $found;
    }

    /**
     * The keys of pasted text: one or more "PUBLIC KEY" blocks.
     *
     * @return string[] PEM by key id
     */
    public static function from_pem(string $text): array {
        preg_match_all('/-----BEGIN PUBLIC KEY-----[A-Za-z0-9+\/=\s]+-----END PUBLIC KEY-----/', $text, $blocks);
        $found = [];
        foreach ($blocks[0] as $pem) {
            $rsa = self::read_rsa($pem);
            if ($rsa !== null) {
                $found[self::thumbprint($rsa['n'], $rsa['e'])] = $pem;
            }
        }
        return $found;
    }

    private static function read_jwk(array $jwk): ?string {
        foreach (['kty' => 'RSA', 'use' => 'sig', 'alg' => 'RS256'] as $name => $value) {
            if (($jwk[$name] ?? null) !== $value) {
                return null;
            }
        }
        foreach (['kid', 'n', 'e'] as $name) {
            if (!is_string($jwk[$name] ?? null)) {
                return null;
            }
        }
        // Whoever publishes the private half has lost the key.
        if (isset($jwk['d'])) {
            return null;
        }
        $n = strict::base64url($jwk['n']);
        $e = strict::base64url($jwk['e']);
        if ($n === null || $e === null || self::thumbprint($n, $e) !== $jwk['kid']) {
            return null;
        }
        $pem = self::to_pem($n, $e);
        return self::read_rsa($pem) === null ? null : $pem;
    }

    /** Modulus and exponent of an RSA key of sensible size, as bytes; null for anything else. */
    private static function read_rsa(string $pem): ?array {
        $key = openssl_pkey_get_public($pem);
        $details = $key === false ? false : openssl_pkey_get_details($key);
        if ($details === false || $details['type'] !== OPENSSL_KEYTYPE_RSA) {
            return null;
        }
        if ($details['bits'] < self::LEAST_BITS || $details['bits'] > self::MOST_BITS) {
            return null;
        }
        return ['n' => $details['rsa']['n'], 'e' => $details['rsa']['e']];
    }

    private static function thumbprint(string $n, string $e): string {
        $canonical = sprintf('{"e":"%s","kty":"RSA","n":"%s"}', strict::to_base64url($e), strict::to_base64url($n));
        return strict::to_base64url(hash('sha256', $canonical, true));
    }

    /** A SubjectPublicKeyInfo (RFC 5280) in PEM. */
    private static function to_pem(string $n, string $e): string {
        $key = self::der("\x30", self::der_integer($n) . self::der_integer($e));
        $rsa = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
        $der = self::der("\x30", $rsa . self::der("\x03", "\x00" . $key));
        return "-----BEGIN PUBLIC KEY-----\n" . chunk_split(base64_encode($der), 64, "\n") . '-----END PUBLIC KEY-----';
    }

    private static function der_integer(string $bytes): string {
        return self::der("\x02", ord($bytes[0]) > 0x7f ? "\x00" . $bytes : $bytes);
    }

    private static function der(string $tag, string $content): string {
        $length = strlen($content);
        if ($length < 0x80) {
            return $tag . chr($length) . $content;
        }
        $bytes = ltrim(pack('N', $length), "\x00");
        return $tag . chr(0x80 | strlen($bytes)) . $bytes . $content;
    }
}
