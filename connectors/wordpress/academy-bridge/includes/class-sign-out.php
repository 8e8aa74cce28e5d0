<?php
/**
 * Telling the bridge that somebody has signed out of the shop.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

use WP_User;

defined( 'ABSPATH' ) || exit;

/**
 * Whoever signs out here is signed out at the bridge too: of what began with this login, or of everything once no login
 * of theirs is left, or their password has changed.
 */
final class Sign_Out {

	const CRON  = 'academy_bridge_sign_out';
	const LABEL = 'academy-bridge sid';

	/**
	 * What has ended, as keys: the user, and in it the name of each login, "" for all of them.
	 *
	 * @var array<int,array<string,bool>>
	 */
	private static $ended = array();

	/**
	 * Hook in.
	 */
	public static function register(): void {
		add_action( 'wp_logout', array( self::class, 'signed_out' ) );
		add_action( 'deleted_user_meta', array( self::class, 'meta_deleted' ), 10, 3 );
		// WooCommerce's own form for a new password has these two as well.
		add_action( 'password_reset', array( self::class, 'password_reset' ) );
		add_action( 'after_password_reset', array( self::class, 'password_reset' ) );
		add_action( 'profile_update', array( self::class, 'profile_updated' ), 10, 2 );
		add_action( self::CRON, array( self::class, 'by_cron' ), 10, 2 );
		add_action( 'shutdown', array( self::class, 'send' ), 1000 );
		add_action( 'template_redirect', array( self::class, 'handle' ), 0 );
	}

	/**
	 * The name by which the bridge knows a login: nobody gets from it to the login's secret. Needs no WordPress.
	 *
	 * @param string $session_token WordPress' own token of the login, "" for none.
	 */
	public static function sid( string $session_token ): string {
		return '' === $session_token ? '' : Token::base64url( hash_hmac( 'sha256', self::LABEL, $session_token, true ) );
	}

	/**
	 * Somebody signed out. WordPress has forgotten who they are by now, but the request still has their cookie.
	 *
	 * @param int $user_id Who.
	 */
	public static function signed_out( $user_id = 0 ): void {
		self::note( (int) $user_id, self::sid( wp_get_session_token() ) );
	}

	/**
	 * WordPress keeps all logins of a user in one place, which goes with the last of them, or with the account.
	 *
	 * @param int[]  $meta_ids Unused.
	 * @param int    $user_id  Whose.
	 * @param string $key      What it was.
	 */
	public static function meta_deleted( $meta_ids, $user_id, $key ): void {
		if ( 'session_tokens' === $key ) {
			self::note( (int) $user_id, '' );
		}
	}

	/**
	 * A forgotten password was replaced.
	 *
	 * @param WP_User $user Whose.
	 */
	public static function password_reset( $user ): void {
		if ( $user instanceof WP_User ) {
			self::note( $user->ID, '' );
		}
	}

	/**
	 * An account was changed; only a new password ends anything.
	 *
	 * @param int          $user_id Whose.
	 * @param WP_User|null $before  As it was.
	 */
	public static function profile_updated( $user_id, $before = null ): void {
		$now = get_userdata( $user_id );
		if ( $now && $before instanceof WP_User && $now->user_pass !== $before->user_pass ) {
			self::note( (int) $user_id, '' );
		}
	}

	/**
	 * The request is over: tell the bridge.
	 */
	public static function send(): void {
		$ended       = self::$ended;
		self::$ended = array();
		if ( ! Settings::ready() ) {
			return;
		}
		foreach ( $ended as $user_id => $logins ) {
			foreach ( isset( $logins[''] ) ? array( '' ) : array_keys( $logins ) as $sid ) {
				$args = array( $user_id, (string) $sid );
				Telling::at_once( self::path( $user_id ), 'sign-out', self::claims( ...$args ), self::CRON, $args );
			}
		}
	}

	/**
	 * WP-Cron's turn. If this fails too, the visit at the bridge ends by resting.
	 *
	 * @param int    $user_id Who signed out.
	 * @param string $sid     The login's name, "" for all.
	 */
	public static function by_cron( $user_id, $sid = '' ): void {
		if ( Settings::ready() && (int) $user_id > 0 ) {
			Telling::tell( self::path( (int) $user_id ), 'sign-out', self::claims( (int) $user_id, (string) $sid ) );
		}
	}

	/**
	 * To where one signs out of the shop, for the bridge's page, which does not know the way: /?academy_bridge=sign-out
	 *
	 * Both pages ask first, since any link may lead here.
	 */
	public static function handle(): void {
		if ( 'sign-out' !== Launch::asked( Launch::PARAMETER ) ) {
			return;
		}
		nocache_headers();
		$account = function_exists( 'wc_get_page_permalink' ) ? (string) wc_get_page_permalink( 'myaccount', '' ) : '';
		$there   = '' !== $account && function_exists( 'wc_get_endpoint_url' );
		$asks    = $there ? wc_get_endpoint_url( 'customer-logout', '', $account ) : site_url( 'wp-login.php?action=logout', 'login' );
		wp_safe_redirect( is_user_logged_in() ? $asks : home_url( '/' ) );
		exit;
	}

	/**
	 * Note what has ended.
	 *
	 * @param int    $user_id Whose.
	 * @param string $sid     The login's name, "" for all.
	 */
	private static function note( int $user_id, string $sid ): void {
		if ( $user_id > 0 ) {
			self::$ended[ $user_id ][ $sid ] = true;
		}
	}

	/**
	 * Where the bridge is told.
	 *
	 * @param int $user_id Whose.
	 */
	private static function path( int $user_id ): string {
		return '/api/v1/customers/' . $user_id . '/sign-out';
	}

	/**
	 * What the token says.
	 *
	 * @param int    $user_id Whose.
	 * @param string $sid     The login's name, "" for all.
	 * @return array<string,string>
	 */
	private static function claims( int $user_id, string $sid ): array {
		$claims = array( 'sub' => (string) $user_id );
		return '' === $sid ? $claims : $claims + array( 'sid' => $sid );
	}
}
