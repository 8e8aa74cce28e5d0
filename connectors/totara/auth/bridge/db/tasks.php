<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * @package auth_bridge
 */

defined('MOODLE_INTERNAL') || die();

$tasks = [
    [
        'classname' => 'auth_bridge\task\cleanup_task',
        'blocking' => 0,
        'minute' => '17',
        'hour' => '*',
        'day' => '*',
        'dayofweek' => '*',
        'month' => '*',
    ],
];
