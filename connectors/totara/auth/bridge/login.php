<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Where a sign-on ends: takes the token that the bridge made for this browser.
 *
 * The form field "again" tells that the form comes from this site itself (see page::post_again()). It grants nothing.
 *
 * @package auth_bridge
 */

require(__DIR__ . '/../../config.php');

$PAGE->set_context(context_system::instance());
$PAGE->set_url('/auth/bridge/login.php');

\auth_bridge\page::send_headers();
redirect_if_major_upgrade_required();

try {
    $signon = \auth_bridge\sign_on::current();
    $token = $signon->posted_token();
    if (!optional_param('again', 0, PARAM_INT) && !$signon->has_begun()) {
        // The browser may have kept its cookie back, as the form came from another site. It has one more chance.
        header_remove('Set-Cookie');
        \auth_bridge\page::post_again($token);
    }
    $accepted = $signon->accept($token);
    if ($signon->end_other_session($accepted)) {
        \auth_bridge\page::post_again($token);
    }
    $signon->let_in($accepted);
    redirect(new moodle_url($accepted->target));
} catch (\auth_bridge\refused $refused) {
    \auth_bridge\page::refuse($refused);
}
