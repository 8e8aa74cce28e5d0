<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * What the browser gets to see.
 */
final class page {
    private const SCRIPT = 'document.forms[0].submit();';

    /** Nothing of a sign-on is kept by caches or told to the next page. */
    public static function send_headers(): void {
        header('Cache-Control: no-store');
        header('Referrer-Policy: no-referrer');
    }

    /**
     * A form of this site that posts the token to login.php once more, by itself or by a button. Does not return.
     *
     * For a browser that kept its cookie back because the first form came from another site, and for one whose session
     * was just ended to make room.
     *
     * @param string $token in the characters of one (see sign_on::posted_token())
     */
    public static function post_again(string $token): void {
        $hash = base64_encode(hash('sha256', self::SCRIPT, true));
        header("Content-Security-Policy: default-src 'none'; script-src 'sha256-$hash'; base-uri 'none'; frame-ancestors 'none'");
        header('Content-Type: text/html; charset=utf-8');
        $title = s(get_string('signingin', 'auth_bridge'));
        $button = s(get_string('continue'));
        $action = s(new \moodle_url('/auth/bridge/login.php'));
        echo "<!DOCTYPE html>\n<html lang=\"" . s(str_replace('_', '-', current_language())) . "\"><head>"
            . "<meta charset=\"utf-8\"><title>$title</title></head>\n<body><form method=\"post\" action=\"$action\">"
            . '<input type="hidden" name="token" value="' . s($token) . '"><input type="hidden" name="again" value="1">'
            . "<button>$button</button></form>\n<script>" . self::SCRIPT . "</script></body></html>\n";
        exit;
    }

    /** Note why, and show the login page with the one message that there is. Does not return. */
    public static function refuse(refused $refused): void {
        global $SESSION;
        event\login_refused::of($refused)->trigger();
        $SESSION->loginerrormsg = get_string('refused', 'auth_bridge');
        redirect(new \moodle_url('/login/index.php'));
    }
}
