<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * Reads the token that the bridge signs for this site. Knows nothing of Totara.
 *
 * One kind of token, one algorithm, one spelling. This is small enough to be written out here; the library that Totara
 * brings differs from version to version, in its calls and in what it lets pass (it allows clocks 180 seconds, for one).
 */
final class token_verifier {
    /** Characters of a token, more are not looked at. */
    public const MOST_CHARACTERS = 4096;

    /** Seconds that a token may live. */
    public const LONGEST_LIFE = 60;

    /** Seconds that the two clocks may differ. */
    public const MOST_LEEWAY = 5;

    /** @var string */
    private $issuer;

    /** @var string */
    private $audience;

    /** @var int */
    private $leeway;

    /**
     * @param string $issuer the bridge's address
     * @param string $audience this site's address
     * @param int $leeway seconds by which the clocks may differ; what is above 5 counts as 5
     */
    public function __construct(string $issuer, string $audience, int $leeway = self::MOST_LEEWAY) {
        $this->issuer = $issuer;
        $this->audience = $audience;
        $this->leeway = max(0, min($leeway, self::MOST_LEEWAY));
    }

    /**
     * What the token says, once everything in it has been found right.
     *
     * 1. Its form: three parts, each in the one spelling.
     * 2. The header: RS256, our type, a key id, and nothing more. A key is never taken from the token.
     * 3. The signature, by the key of that id.
     * 4. The claims: their types, issuer, audience, times, names, target.
     *
     * Whether the nonce is this browser's, and the token new, is for the caller to find out.
     *
     * @param callable $find_key takes a key id and returns a PEM, or null
     * @param int $now seconds since 1970
     * @throws refused
     */
    public function verify(string $token, callable $find_key, int $now): claims {
        $parts = explode('.', $token, 4);
        if (strlen($token) > self::MOST_CHARACTERS || count($parts) !== 3) {
            throw new refused('malformed');
        }
        $kid = $this->read_header($this->read_object($parts[0]));
        $signature = strict::base64url($parts[2]);
        if ($signature === null) {
            throw new refused('malformed');
        }
        $pem = $find_key($kid);
        if ($pem === null) {
            throw new refused('key');
        }
        if (openssl_verify("$parts[0].$parts[1]", $signature, $pem, OPENSSL_ALGO_SHA256) !== 1) {
            throw new refused('signature');
        }
        return $this->read_claims($this->read_object($parts[1]), $now);
    }

    private function read_object(string $part): array {
        $json = strict::base64url($part);
        $members = $json === null ? null : strict::flat_object($json);
        if ($members === null) {
            throw new refused('malformed');
        }
        return $members;
    }

    /** The key id. A header that names anything but these three (jwk, jku, x5u, x5c, crit...) is refused, not skipped. */
    private function read_header(array $header): string {
        ksort($header);
        if (array_keys($header) !== ['alg', 'kid', 'typ'] || $header['alg'] !== 'RS256' || $header['typ'] !== 'site+jwt') {
            throw new refused('header');
        }
        if (!is_string($header['kid']) || !preg_match('/\A[A-Za-z0-9_-]{43}\z/', $header['kid'])) {
            throw new refused('header');
        }
        return $header['kid'];
    }

    private function read_claims(array $members, int $now): claims {
        if (($members['iss'] ?? null) !== $this->issuer) {
            throw new refused('issuer');
        }
        if (($members['aud'] ?? null) !== $this->audience) {
            throw new refused('audience');
        }
        $claims = new claims();
        $claims->expires = $this->read_times($members, $now);
        $claims->userid = (int) $this->read_text($members, 'sub', '/\A[1-9][0-9]{0,17}\z/');
        $claims->username = $this->read_text($members, 'username', '/\A[^\x00-\x1f\x7f]{1,100}\z/u');
        $claims->nonce = $this->read_text($members, 'nonce', '/\A[0-9a-f]{32}\z/');
        $claims->jti = $this->read_text($members, 'jti', '/\A[0-9a-f]{32}\z/');
        if (array_key_exists('sid', $members)) {
            $claims->sid = $this->read_text($members, 'sid', '/\A[0-9a-f]{32}\z/');
        }
        $target = local_target::check($this->read_text($members, 'target', '/\A./'));
        if ($target === null) {
            throw new refused('target', $claims->userid);
        }
        $claims->target = $target;
        return $claims;
    }

    /** When it expires, in seconds since 1970. */
    private function read_times(array $members, int $now): int {
        foreach (['iat', 'exp'] as $name) {
            if (!is_int($members[$name] ?? null) || $members[$name] < 1) {
                throw new refused('claims');
            }
        }
        if ($members['iat'] > $now + $this->leeway) {
            throw new refused('future');
        }
        if ($members['exp'] <= $now - $this->leeway) {
            throw new refused('expired');
        }
        $life = $members['exp'] - $members['iat'];
        if ($life < 1 || $life > self::LONGEST_LIFE) {
            throw new refused('lifetime');
        }
        // An honest token cannot carry a "not before" that has not come; one that does was not made for now.
        if (array_key_exists('nbf', $members) && (!is_int($members['nbf']) || $members['nbf'] > $now + $this->leeway)) {
            throw new refused('future');
        }
        return $members['exp'];
    }

    private function read_text(array $members, string $name, string $pattern): string {
        if (!is_string($members[$name] ?? null) || !preg_match($pattern, $members[$name])) {
            throw new refused('claims');
        }
        return $members[$name];
    }
}
