<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * @package auth_bridge
 */

defined('MOODLE_INTERNAL') || die();

$functions = [
    'auth_bridge_look_at_account' => [
        'classname' => 'auth_bridge\external\look_at_account',
        'methodname' => 'execute',
        'description' => 'Tells whether an account is an administrator\'s, staff\'s or suspended, and which tenant it is of.',
        'type' => 'read',
        'capabilities' => 'auth/bridge:lookataccount',
    ],
];
