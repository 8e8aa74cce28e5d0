<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * The classes that know nothing of Totara, and the maker of tokens.
 */

foreach (['refused', 'strict', 'public_keys', 'claims', 'local_target', 'token_verifier', 'nonces', 'key_source'] as $class) {
    require_once __DIR__ . "/../../classes/$class.php";
}
require_once __DIR__ . '/maker.php';
