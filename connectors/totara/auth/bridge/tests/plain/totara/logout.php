<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Totara's page for logging out: the plugins may say where to go on to, then the session ends.
 */

require __DIR__ . '/config.php';
require SITE . '/auth/bridge/auth.php';

$redirect = "$CFG->wwwroot/";
(new auth_plugin_bridge())->logoutpage_hook();
require_logout();
redirect($redirect);
