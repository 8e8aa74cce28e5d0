<?php
// SPDX-License-Identifier: GPL-3.0-or-later

$describe = static function (site $site): array {
    return json_decode((new act($site, 'describe'))->end(), true);
};

return [
    'there is no password, neither here nor in Totara' => static function () use ($describe): void {
        $said = $describe(site::fresh());
        check_same([[false, false, false], [false, true]], [$said['password'], $said['internal']]);
    },
    'the login page has a link if it is wanted and leads somewhere' => static function () use ($describe): void {
        $site = site::fresh();
        check_same(["Sign in with the academy shop: {$site->served->url}/auth/bridge/start.php"], $describe($site)['links']);
        $site->set('loginbutton', '0');
        check_same([], $describe($site)['links']);
        $site->set('loginbutton', '1');
        $site->set('bridgeurl', '');
        check_same([], $describe($site)['links']);
    },
];
