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
        'description' => 'Tells whether an account is an administrator\'s, staff\'s or suspended, which tenant it is of, and which courses it has opened.',
        'type' => 'read',
        'capabilities' => 'auth/bridge:lookataccount',
    ],
];
