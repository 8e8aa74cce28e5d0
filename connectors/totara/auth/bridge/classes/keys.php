<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * The bridge's keys as Totara comes by them: pasted into the settings, or fetched and kept in its cache.
 */
final class keys {
    /** Characters of a published key set, more are not read. */
    private const MOST_CHARACTERS = 65536;

    /**
     * What finds a key by its id.
     *
     * @return callable takes a key id, returns a PEM or null
     */
    public static function finder(configuration $configuration): callable {
        if ($configuration->public_keys !== '') {
            return static function (string $kid) use ($configuration): ?string {
                return public_keys::from_pem($configuration->public_keys)[$kid] ?? null;
            };
        }
        $cache = \cache::make('auth_bridge', 'jwks');
        $source = new key_source($cache, $configuration->jwks, [self::class, 'fetch'], [self::class, 'one_at_a_time']);
        return static function (string $kid) use ($source): ?string {
            return $source->find($kid, time());
        };
    }

    /**
     * What is published at an address, or null. Certificates are checked, which Totara's client leaves out unless told.
     */
    public static function fetch(string $address): ?string {
        global $CFG;
        if (!self::is_safe($address)) {
            return null;
        }
        require_once($CFG->libdir . '/filelib.php');
        $client = new \curl();
        $body = $client->get($address, [], [
            'CURLOPT_SSL_VERIFYPEER' => 1,
            'CURLOPT_SSL_VERIFYHOST' => 2,
            'CURLOPT_FOLLOWLOCATION' => 0,
            'CURLOPT_CONNECTTIMEOUT' => 3,
            'CURLOPT_TIMEOUT' => 5,
            'CURLOPT_MAXFILESIZE' => self::MOST_CHARACTERS,
        ]);
        $status = $client->get_info()['http_code'] ?? 0;
        if ($client->get_errno() || (int) $status !== 200 || strlen($body) > self::MOST_CHARACTERS) {
            return null;
        }
        return $body;
    }

    /** Whether an address is https, or of this machine itself. */
    public static function is_safe(string $address): bool {
        $parts = parse_url($address);
        $scheme = strtolower($parts['scheme'] ?? '');
        $host = strtolower($parts['host'] ?? '');
        if ($host === '' || isset($parts['user']) || isset($parts['pass'])) {
            return false;
        }
        return $scheme === 'https' || ($scheme === 'http' && in_array($host, ['127.0.0.1', '[::1]', 'localhost'], true));
    }

    /** Call it while nobody else does; after ten seconds in vain, call it all the same. */
    public static function one_at_a_time(callable $job): array {
        $lock = \core\lock\lock_config::get_lock_factory('auth_bridge')->get_lock('jwks', 10);
        try {
            return $job();
        } finally {
            if ($lock) {
                $lock->release();
            }
        }
    }
}
