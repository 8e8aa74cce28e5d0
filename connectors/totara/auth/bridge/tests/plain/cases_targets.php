<?php
// SPDX-License-Identifier: GPL-3.0-or-later

use auth_bridge\local_target;

return [
    'paths of this site are let through as they are' => static function (): void {
        foreach (['/', '/course/view.php?id=7', '/totara/program/view.php?id=3&x=a%20b', '/my/', '/a-b_c.d~e/f',
                '/course/view.php?id=7#section-2', '/mod/url/view.php?u=https%3A%2F%2Fx.example%2Fy', '/x?a[]=1;b=\'c\'',
                '/course/view.php?name=%C3%A9t%C3%A9', '/.hidden', '/a..b', '/%7Eanna'] as $path) {
            check_same($path, local_target::check($path));
        }
    },
    'what leads elsewhere, or could in somebody\'s eyes, is not' => static function (): void {
        $foreign = [
            '', ' ', 'x', 'course/view.php', '?id=7', '#x', '.', '..', '.evil.example', '@evil.example', ':80@evil.example/',
            '//evil.example', '///evil.example', '/\\evil.example', '\\\\evil.example', '\\/evil.example', '/a\\b', '//', '/\\',
            'https://evil.example', 'HTTPS://evil.example', 'https:evil.example', 'https:/evil.example', 'javascript:alert(1)',
            'data:text/html,x', 'https://learn.example.com@evil.example/', 'https://learn.example.com/',
            "/a\r\nLocation: https://evil.example", "/a\n", "/a\r", "/\t/evil.example", "/\0", "\n/a", ' /a', '/a b', "/a\x7f",
            '/a%0d%0aLocation:x', '/a%0A', '/a?b=%0d', '/%00', '/a%7f', '/%09/evil.example', '/%1f', '/a%', '/a%2', '/a%zz',
            '/%2f/evil.example', '/%2fevil.example', '/%2F%2Fevil.example', '/%5cevil.example', '/%5C%5cevil.example', '/%252fevil.example',
            '/../evil', '/a/../../evil', '/..', '/.', '/./a', '/a/..', '/%2e%2e/evil', '/.%2e/evil', '/a//b', '/a/%2e',
            '/é', "/\u{2044}evil.example", "/\u{ff0f}evil.example", "/\u{202e}", '/<script>', '/"onload=', '/`', '/{x}',
            '/' . str_repeat('a', 1000),
        ];
        foreach ($foreign as $path) {
            check_same(null, local_target::check($path));
        }
    },
    'of an address, the path is kept if the site is ours' => static function (): void {
        $site = 'https://learn.example.com/totara';
        check_same('/course/view.php?id=7', local_target::from_address("$site/course/view.php?id=7", $site));
        check_same('/', local_target::from_address("$site/", $site));
        foreach (['', $site, 'https://evil.example/', 'https://other.example.com/totara/x', 'https://learn.example.com/other/', "$site.evil.example/x", "$site@evil.example/",
                'https://learn.example.com/totaraevil/x', "$site//evil.example", "$site/../other", "$site/\\x",
                'http://learn.example.com/totara/x', '//learn.example.com/totara/x', '/course/view.php?id=7'] as $address) {
            check_same('/', local_target::from_address($address, $site));
        }
    },
    'a sign-on does not end at the pages it began with' => static function (): void {
        $site = 'https://learn.example.com';
        foreach (['/login/index.php', '/login/', '/login/logout.php?x=1', '/auth/bridge/start.php', '/auth/bridge/login.php'] as $path) {
            check_same('/', local_target::from_address($site . $path, $site));
        }
        check_same('/loginhelp/x', local_target::from_address("$site/loginhelp/x", $site));
    },
];
