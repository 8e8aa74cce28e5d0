<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * A sign-on that is not let in. The reason is one word, for Totara's log; the person sees none of it.
 *
 * The words have texts in the language file, as `refused_WORD`.
 */
final class refused extends \Exception {
    /** @var string why, in one word */
    public $reason;

    /** @var int the account that a well signed token named, 0 while none is known */
    public $userid;

    public function __construct(string $reason, int $userid = 0) {
        parent::__construct($reason);
        $this->reason = $reason;
        $this->userid = $userid;
    }
}
