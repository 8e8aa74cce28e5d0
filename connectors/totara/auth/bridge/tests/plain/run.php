<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Tests that need no Totara:  php tests/plain/run.php [FILE...]
 *
 * What the plugin uses of Totara has stand-ins in totara/; PHP needs its openssl and pdo_sqlite extensions. Ends with 0
 * when all went well. Each file returns its tests, by a sentence; a test fails by throwing.
 */

if (PHP_SAPI !== 'cli') {
    exit(1);
}

if (!extension_loaded('openssl') || !extension_loaded('pdo_sqlite')) {
    echo "these tests need PHP's extensions openssl and pdo_sqlite\n";
    exit(1);
}

error_reporting(E_ALL);
set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
    throw new \ErrorException($message, 0, $level, $file, $line);
});

require __DIR__ . '/load.php';

function check(bool $holds, string $what): void {
    if (!$holds) {
        throw new \Exception($what);
    }
}

function check_same($expected, $actual): void {
    check($expected === $actual, 'expected ' . var_export($expected, true) . ', got ' . var_export($actual, true));
}

$passed = 0;
$failed = 0;
foreach (array_slice($argv, 1) ?: glob(__DIR__ . '/cases_*.php') as $file) {
    foreach (require $file as $sentence => $test) {
        try {
            $test();
            $passed++;
        } catch (\Throwable $thrown) {
            $failed++;
            echo 'FAILED: ', basename($file, '.php'), ": $sentence\n  ", get_class($thrown), ': ', $thrown->getMessage(), "\n";
        }
    }
}
echo "$passed passed, $failed failed\n";
exit($failed === 0 && $passed > 0 ? 0 : 1);
