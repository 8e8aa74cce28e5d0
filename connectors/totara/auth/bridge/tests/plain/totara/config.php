<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Stands for Totara's config.php on the site of the plain tests (see site.php), whose folder is the constant SITE.
 *
 * What the plugin uses of Totara is here in small: its database over SQLite, roles and contexts, sessions by PHP's own
 * handler, events, pages. Each does what Totara 17 does as far as the plugin can tell, and nothing more.
 */

if (!in_array(PHP_SAPI, ['cli', 'cli-server'], true) || !defined('SITE')) {
    exit(1);
}

error_reporting(E_ALL);
set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
    throw new \ErrorException($message, 0, $level, $file, $line);
});

define('MOODLE_INTERNAL', true);
foreach (['database', 'access', 'events', 'sessions', 'pages', 'cache', 'clock'] as $part) {
    require __DIR__ . "/$part.php";
}

spl_autoload_register(static function (string $class): void {
    if (strpos($class, 'auth_bridge\\') === 0) {
        require SITE . '/auth/bridge/classes/' . str_replace('\\', '/', substr($class, strlen('auth_bridge\\'))) . '.php';
    }
});

$DB = new moodle_database(SITE . '/site.sqlite');
$CFG = new stdClass();
foreach ($DB->get_records('config') as $setting) {
    $CFG->{$setting->name} = $setting->value;
}
$CFG->libdir = SITE . '/lib';
$PAGE = new moodle_page();
if (PHP_SAPI === 'cli-server') {
    start_totara_session();
}
