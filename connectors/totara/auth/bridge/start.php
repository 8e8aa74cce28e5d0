<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Where a sign-on begins: gives this browser a nonce and sends it to the bridge.
 *
 * @package auth_bridge
 */

require(__DIR__ . '/../../config.php');

$PAGE->set_context(context_system::instance());
$PAGE->set_url('/auth/bridge/start.php');

\auth_bridge\page::send_headers();
redirect_if_major_upgrade_required();

try {
    redirect(\auth_bridge\sign_on::current()->begin());
} catch (\auth_bridge\refused $refused) {
    \auth_bridge\page::refuse($refused);
}
