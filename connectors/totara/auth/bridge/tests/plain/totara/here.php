<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * A page of the test site that tells what this browser's session holds, and puts into it what is posted: "wantsurl";
 * "user", who is signed in from then on; "real", who is that in truth (an administrator who looks through their eyes).
 */

require __DIR__ . '/config.php';

if (isset($_POST['wantsurl'])) {
    $SESSION->wantsurl = $_POST['wantsurl'];
}
if (isset($_POST['user'])) {
    $_SESSION['USER'] = $DB->get_record('user', ['id' => $_POST['user']]);
    $USER = $_SESSION['USER'];
}
if (isset($_POST['real'])) {
    $_SESSION['REALUSER'] = (object) ['id' => $_POST['real']];
}
header('Content-Type: application/json');
echo json_encode(['user' => (int) $USER->id] + (array) $SESSION);
