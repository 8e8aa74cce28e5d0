<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * The classes that know nothing of Totara, the maker of tokens, and a site for everything else.
 */

if (PHP_SAPI !== 'cli') {
    exit(1);
}

foreach (['refused', 'strict', 'public_keys', 'claims', 'local_target', 'token_verifier', 'nonces', 'key_source'] as $class) {
    require_once __DIR__ . "/../../classes/$class.php";
}
foreach (['maker', 'served', 'site', 'browser', 'act', 'one_case'] as $part) {
    require_once __DIR__ . "/$part.php";
}
