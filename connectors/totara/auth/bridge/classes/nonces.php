<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * The sign-ons that one browser has begun: each nonce good once, for five minutes, in the session it was made in.
 *
 * A few are kept side by side, for tabs opened together. The caller keeps the array in the session.
 */
final class nonces {
    /** Seconds. */
    public const LIFE = 300;

    /** Begun at the same time; the oldest gives way. */
    public const MOST = 5;

    /** @var array nonce => ['until' => seconds since 1970, 'wanted' => path] */
    private $kept = [];

    /**
     * @param mixed $kept what array() gave before, or anything else for none
     * @param int $now seconds since 1970
     */
    public function __construct($kept, int $now) {
        foreach (is_array($kept) ? $kept : [] as $nonce => $begun) {
            if ($begun['until'] > $now && $begun['until'] <= $now + self::LIFE) {
                $this->kept[$nonce] = $begun;
            }
        }
    }

    /**
     * A new one.
     *
     * @param string $wanted the path to end at if the token names none
     */
    public function add(string $wanted, int $now): string {
        $nonce = bin2hex(random_bytes(16));
        $this->kept[$nonce] = ['until' => $now + self::LIFE, 'wanted' => $wanted];
        $this->kept = array_slice($this->kept, -self::MOST, null, true);
        return $nonce;
    }

    /**
     * Take one: it is gone afterwards.
     *
     * @return string|null the path that was wanted, or null when it is not one of this browser's
     */
    public function take(string $nonce): ?string {
        if (!isset($this->kept[$nonce])) {
            return null;
        }
        $wanted = $this->kept[$nonce]['wanted'];
        unset($this->kept[$nonce]);
        return $wanted;
    }

    public function is_empty(): bool {
        return $this->kept === [];
    }

    public function to_array(): array {
        return $this->kept;
    }
}
