<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * The tokens that were presented, each of which is good once.
 *
 * Once is what the table's unique index says: of any number that come together, one insert succeeds.
 */
final class token_register {
    private const TABLE = 'auth_bridge_token';

    /** Seconds that a token is remembered beyond its end, for clocks that differ. */
    public const MARGIN = 60;

    /**
     * Use a token up.
     *
     * @throws refused when it was used before
     */
    public function use_once(claims $claims): void {
        global $DB;
        try {
            $DB->insert_record(self::TABLE, (object) ['jti' => $claims->jti, 'timeexpires' => $claims->expires]);
        } catch (\dml_exception $exception) {
            // Whatever kept it from being noted, it is not known to be the first.
            throw new refused('replay', $claims->userid);
        }
    }

    /**
     * Let a token that was used be presented once more, by the session that takes the place of another person's.
     *
     * @param string $session the new session's id
     */
    public function hand_over(string $jti, string $session): void {
        global $DB;
        $DB->set_field(self::TABLE, 'heir', self::digest($session), ['jti' => $jti]);
    }

    /**
     * Whether the token was handed over to this session. Asked once, the answer is no from then on.
     */
    public function take_over(string $jti, string $session): bool {
        global $DB;
        // A session's requests come one after another, so nobody comes between these two.
        if ($session === '' || !$DB->record_exists(self::TABLE, ['jti' => $jti, 'heir' => self::digest($session)])) {
            return false;
        }
        $DB->set_field(self::TABLE, 'heir', null, ['jti' => $jti]);
        return true;
    }

    /**
     * Forget what has expired.
     *
     * @param int $now seconds since 1970
     */
    public function clean_up(int $now): void {
        global $DB;
        $DB->delete_records_select(self::TABLE, 'timeexpires < ?', [$now - self::MARGIN]);
    }

    /** Session ids are as good as passwords while they live, and are not written down. */
    private static function digest(string $session): string {
        return hash('sha256', $session);
    }
}
