<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * The bridge's published keys, kept for an hour and asked for at most once a minute.
 */
final class key_source {
    /** Seconds that keys are used without asking again, so that a withdrawn one ends. */
    public const FRESH = 3600;

    /** Seconds that keys go on being used while the bridge does not answer. */
    public const STALE = 86400;

    /** Seconds between two attempts, whoever presents whatever key id. */
    public const PAUSE = 60;

    /** @var object with get(string) and set(string, array) */
    private $cache;

    /** @var string */
    private $entry;

    /** @var callable */
    private $fetch;

    /** @var callable */
    private $one_at_a_time;

    /**
     * @param object $cache has get(string) and set(string, array)
     * @param string $address where the keys are published
     * @param callable $fetch takes the address and returns the published JSON, or null
     * @param callable $one_at_a_time calls what it is given while nobody else does, and returns its result
     */
    public function __construct($cache, string $address, callable $fetch, callable $one_at_a_time) {
        $this->cache = $cache;
        $this->entry = sha1($address);
        $this->fetch = static function () use ($fetch, $address): ?string {
            return $fetch($address);
        };
        $this->one_at_a_time = $one_at_a_time;
    }

    /**
     * A key by its id.
     *
     * @param int $now seconds since 1970
     * @return string|null PEM
     */
    public function find(string $kid, int $now): ?string {
        $held = $this->held();
        if (!$this->is_good($held, $kid, $now, self::FRESH)) {
            $held = ($this->one_at_a_time)(function () use ($kid, $now): array {
                return $this->renewed($kid, $now);
            });
        }
        return $this->is_good($held, $kid, $now, self::STALE) ? $held['keys'][$kid] : null;
    }

    private function renewed(string $kid, int $now): array {
        // Somebody else may have asked while we waited for our turn.
        $held = $this->held();
        if ($this->is_good($held, $kid, $now, self::FRESH) || $now - $held['tried'] < self::PAUSE) {
            return $held;
        }
        $held['tried'] = $now;
        $keys = public_keys::from_jwks(($this->fetch)() ?? '');
        // An answer without any key is no answer: it would lock everybody out.
        if ($keys !== []) {
            $held = ['keys' => $keys, 'fetched' => $now, 'tried' => $now];
        }
        $this->cache->set($this->entry, $held);
        return $held;
    }

    private function held(): array {
        $held = $this->cache->get($this->entry);
        return is_array($held) ? $held : ['keys' => [], 'fetched' => 0, 'tried' => 0];
    }

    private function is_good(array $held, string $kid, int $now, int $age): bool {
        return isset($held['keys'][$kid]) && $now - $held['fetched'] < $age;
    }
}
