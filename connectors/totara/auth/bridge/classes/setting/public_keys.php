<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge\setting;

/**
 * Public keys as PEM, any number of them: nothing but such, and never a private one.
 */
final class public_keys extends \admin_setting_configtextarea {
    public function validate($data) {
        $blocks = substr_count($data, '-----BEGIN');
        $usable = count(\auth_bridge\public_keys::from_pem($data));
        $is_right = trim($data) === '' || ($blocks > 0 && $blocks === $usable);
        return $is_right ? true : get_string('error_publickeys', 'auth_bridge');
    }
}
