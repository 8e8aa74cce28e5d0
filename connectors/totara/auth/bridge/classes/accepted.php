<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * A sign-on that every check has passed.
 */
final class accepted {
    /** @var \stdClass the account's record */
    public $user;

    /** @var string the path to end at */
    public $target;

    /** @var string the token's name */
    public $jti;

    /** @var string what ends the visit to the bridge, '' when it did not tell */
    public $sid;

    public function __construct(\stdClass $user, string $target, string $jti, string $sid) {
        $this->user = $user;
        $this->target = $target;
        $this->jti = $jti;
        $this->sid = $sid;
    }
}
