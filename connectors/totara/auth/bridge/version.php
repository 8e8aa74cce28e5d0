<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * @package auth_bridge
 */

defined('MOODLE_INTERNAL') || die();

$plugin->component = 'auth_bridge';
$plugin->version   = 2026112403;
$plugin->requires  = 2022110800; // Totara 17.
$plugin->release   = '1.3';
$plugin->maturity  = MATURITY_STABLE;
