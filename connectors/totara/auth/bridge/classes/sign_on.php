<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge;

/**
 * One sign-on, from its nonce to the session: what start.php and login.php do.
 */
final class sign_on {
    /** @var configuration */
    private $configuration;

    /** @var token_register */
    private $register;

    /** @var callable takes a key id, returns a PEM or null */
    private $find_key;

    public function __construct(configuration $configuration, token_register $register, callable $find_key) {
        $this->configuration = $configuration;
        $this->register = $register;
        $this->find_key = $find_key;
    }

    /**
     * As this site is configured.
     *
     * @throws refused while it is not
     */
    public static function current(): self {
        $configuration = configuration::load();
        if (!is_enabled_auth('bridge') || $configuration->bridge === '') {
            throw new refused('notconfigured');
        }
        return new self($configuration, new token_register(), keys::finder($configuration));
    }

    /** Give this browser a nonce; returns the bridge's address to go to. */
    public function begin(): string {
        global $CFG, $SESSION;
        $now = time();
        $nonces = new nonces($SESSION->auth_bridge ?? null, $now);
        $nonce = $nonces->add(local_target::from_address($SESSION->wantsurl ?? '', $CFG->wwwroot), $now);
        $SESSION->auth_bridge = $nonces->to_array();
        return $this->configuration->bridge . '/sso/totara?nonce=' . $nonce;
    }

    /** Whether this browser's session knows of a sign-on that was begun. */
    public function has_begun(): bool {
        global $SESSION;
        return !(new nonces($SESSION->auth_bridge ?? null, time()))->is_empty();
    }

    /**
     * The form's token, in the characters of one.
     *
     * @throws refused
     */
    public function posted_token(): string {
        $token = $_POST['token'] ?? null;
        if (!is_string($token) || strlen($token) > token_verifier::MOST_CHARACTERS || !preg_match('/\A[\w.-]+\z/', $token)) {
            throw new refused('malformed');
        }
        return $token;
    }

    /**
     * Everything that is checked, in this order.
     *
     * 1. The token: the bridge's signature, for this site, now.
     * 2. It was made for this browser, and is presented for the first time. It is used up from here on, come what may.
     * 3. The account may be signed in this way.
     *
     * @throws refused
     */
    public function accept(string $token): accepted {
        global $CFG;
        $verifier = new token_verifier($this->configuration->bridge, $CFG->wwwroot, $this->configuration->leeway);
        $claims = $verifier->verify($token, $this->find_key, time());
        $wanted = local_target::NOWHERE;
        if (!$this->register->take_over($claims->jti, (string) session_id())) {
            $wanted = $this->take_nonce($claims);
            $this->register->use_once($claims);
        }
        $user = (new account_gate($this->configuration))->admit($claims);
        return new accepted($user, $this->choose_target($claims->target, $wanted), $claims->jti, $claims->sid);
    }

    private function take_nonce(claims $claims): string {
        global $SESSION;
        $nonces = new nonces($SESSION->auth_bridge ?? null, time());
        $wanted = $nonces->take($claims->nonce);
        $SESSION->auth_bridge = $nonces->to_array();
        if ($wanted === null) {
            throw new refused('nonce', $claims->userid);
        }
        return $wanted;
    }

    /** The bridge's word goes first; if it says nowhere in particular, to the page that was wanted before signing in. */
    private function choose_target(string $said, string $wanted): string {
        return $said === local_target::NOWHERE ? $wanted : $said;
    }

    /**
     * End the session of somebody else in this browser.
     *
     * Totara ends a session for the whole request, so that the new one takes over with the next.
     *
     * @return bool whether there was one
     */
    public function end_other_session(accepted $accepted): bool {
        global $USER;
        if (!isloggedin() || isguestuser() || self::is_in($accepted->user)) {
            return false;
        }
        require_logout();
        $this->register->hand_over($accepted->jti, (string) session_id());
        return true;
    }

    /** Make the session theirs. Somebody who is in already stays in the session they have, with their open forms. */
    public function let_in(accepted $accepted): void {
        global $CFG, $SESSION;
        event\login_accepted::of($accepted->user->id)->trigger();
        unset($SESSION->wantsurl);
        if (self::is_in($accepted->user)) {
            $SESSION->auth_bridge_sid = $accepted->sid;
            return;
        }
        if (!empty($CFG->preventmultiplelogins)) {
            \core\session\manager::kill_user_sessions($accepted->user->id);
        }
        // Gives the session a new id.
        complete_user_login(get_complete_user_data('id', $accepted->user->id));
        \core\session\manager::apply_concurrent_login_limit($accepted->user->id, session_id());
        unset($SESSION->loginerrormsg);
        $SESSION->auth_bridge_sid = $accepted->sid;
    }

    /** The bridge's address that ends the visit by which this session began; null if it is not to be gone to. */
    public static function ends_visit_at(): ?string {
        global $SESSION;
        $configuration = configuration::load();
        $sid = $SESSION->auth_bridge_sid ?? '';
        if (!$configuration->end_visit || $configuration->bridge === '' || $sid === '') {
            return null;
        }
        return $configuration->bridge . '/sso/ended?sid=' . $sid;
    }

    private static function is_in(\stdClass $user): bool {
        global $USER;
        return isloggedin() && (int) $USER->id === (int) $user->id && !\core\session\manager::is_loggedinas();
    }
}
