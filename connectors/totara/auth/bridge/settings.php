<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * @package auth_bridge
 */

defined('MOODLE_INTERNAL') || die();

use auth_bridge\configuration;
use auth_bridge\setting;

if ($ADMIN->fulltree) {
    $text = static function (string $name, $value = null): lang_string {
        return new lang_string($name, 'auth_bridge', $value);
    };

    $settings->add(new admin_setting_heading('auth_bridge/about', '', $text('about', s($CFG->wwwroot))));

    $settings->add(new setting\address(
        'auth_bridge/bridgeurl', $text('bridgeurl'), $text('bridgeurl_desc'), '', PARAM_URL, 60));

    $settings->add(new setting\address(
        'auth_bridge/jwksurl', $text('jwksurl'), $text('jwksurl_desc'), '', PARAM_URL, 60));

    $settings->add(new setting\public_keys(
        'auth_bridge/publickeys', $text('publickeys'), $text('publickeys_desc'), '', PARAM_RAW_TRIMMED));

    $methods = [];
    foreach (core_component::get_plugin_list('auth') as $method => $unused) {
        if ($method !== 'nologin') {
            $methods[$method] = get_auth_plugin($method)->get_title();
        }
    }
    $settings->add(new admin_setting_configmultiselect(
        'auth_bridge/authmethods', $text('authmethods'), $text('authmethods_desc'), configuration::AUTH_METHODS, $methods));

    $settings->add(new setting\tenant(
        'auth_bridge/tenant', $text('tenant'), $text('tenant_desc'), '', PARAM_RAW_TRIMMED));

    $settings->add(new setting\capabilities(
        'auth_bridge/denied', $text('denied'), $text('denied_desc'), implode("\n", configuration::DENIED_CAPABILITIES),
        PARAM_RAW_TRIMMED));

    $settings->add(new admin_setting_configselect(
        'auth_bridge/leeway', $text('leeway'), $text('leeway_desc'), \auth_bridge\token_verifier::MOST_LEEWAY,
        range(0, \auth_bridge\token_verifier::MOST_LEEWAY)));

    $settings->add(new admin_setting_configcheckbox(
        'auth_bridge/loginbutton', $text('loginbutton'), $text('loginbutton_desc'), 1));

    $settings->add(new admin_setting_configcheckbox(
        'auth_bridge/endvisit', $text('endvisit'), $text('endvisit_desc'), 1));
}
