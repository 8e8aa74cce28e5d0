<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * What a token says whose signature, addressee and times have been found right.
 */
final class claims {
    /** @var int the Totara account */
    public $userid;

    /** @var string its username, as the bridge knows it */
    public $username;

    /** @var string what the browser was given by start.php, 32 hex digits */
    public $nonce;

    /** @var string a path in this site, "/" for nowhere in particular */
    public $target;

    /** @var string the token's own name, 32 hex digits */
    public $jti;

    /** @var string what ends the visit to the bridge, 32 hex digits; '' from a bridge that does not tell */
    public $sid = '';

    /** @var int seconds since 1970: not good from then on */
    public $expires;
}
