<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Does one thing at a test site in a process of its own, and says what became of it:  php totara/act.php FOLDER WHAT
 *
 * "clean_up" runs the tasks of db/tasks.php. "describe" tells what the authentication method says of itself. "accept" reads a token, and then waits until nobody holds the file "gate"
 * of the folder any more, so that many processes can begin together; its session knows the nonce of that token.
 */

if (PHP_SAPI !== 'cli') {
    exit(1);
}

list(, $folder, $what) = $argv;
require "$folder/config.php";

if ($what === 'clean_up') {
    require SITE . '/auth/bridge/db/tasks.php';
    foreach ($tasks as $task) {
        $class = '\\' . $task['classname'];
        (new $class())->execute();
    }
    exit(0);
}

if ($what === 'describe') {
    require SITE . '/auth/bridge/auth.php';
    $method = new auth_plugin_bridge();
    echo json_encode([
        'password' => [$method->user_login('anna', 'Known-1!'), $method->can_change_password(), $method->can_reset_password()],
        'internal' => [$method->is_internal(), $method->prevent_local_passwords()],
        'links' => array_map(static function (array $link): string {
            return "{$link['name']}: {$link['url']}";
        }, $method->loginpage_idp_list('')),
    ], JSON_UNESCAPED_SLASHES);
    exit(0);
}

$token = stream_get_contents(STDIN);
$said = json_decode(base64_decode(strtr(explode('.', $token)[1], '-_', '+/')), true);
$SESSION = (object) ['auth_bridge' => [$said['nonce'] => ['until' => \auth_bridge\time() + 300, 'wanted' => '/']]];
$signon = \auth_bridge\sign_on::current();
flock(fopen(SITE . '/gate', 'r'), LOCK_SH);
try {
    echo 'in ' . $signon->accept($token)->user->id;
} catch (\auth_bridge\refused $refused) {
    echo $refused->reason;
}
