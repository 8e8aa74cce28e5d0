<?php
/**
 * What a product gives: set on its edit page, told on its own.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

use WC_Product;
use WP_Post;

defined( 'ABSPATH' ) || exit;

/**
 * The product's fields "bridge_…", which the bridge reads.
 */
final class Product_Box {

	const POSTED            = 'academy_bridge_offer';
	const POSTED_VARIATIONS = 'academy_bridge_offers';

	/**
	 * Hook in.
	 */
	public static function register(): void {
		add_filter( 'woocommerce_product_data_tabs', array( self::class, 'add_tab' ) );
		add_action( 'woocommerce_product_data_panels', array( self::class, 'edit' ) );
		add_action( 'woocommerce_admin_process_product_object', array( self::class, 'save' ) );
		add_action( 'woocommerce_product_after_variable_attributes', array( self::class, 'edit_variation' ), 10, 3 );
		add_action( 'woocommerce_admin_process_variation_object', array( self::class, 'save_variation' ), 10, 2 );
		add_filter( 'is_protected_meta', array( self::class, 'not_twice' ), 10, 2 );
		add_action( 'woocommerce_before_add_to_cart_form', array( self::class, 'tell' ) );
	}

	/**
	 * The tab among the product's data.
	 *
	 * @param array<string,array<string,mixed>> $tabs WooCommerce's.
	 * @return array<string,array<string,mixed>>
	 */
	public static function add_tab( $tabs ) {
		$tabs['academy_bridge'] = array(
			'label'    => __( 'Learning site', 'academy-bridge' ),
			'target'   => 'academy-bridge-offer',
			'class'    => array( 'hide_if_grouped', 'hide_if_external' ),
			'priority' => 65,
		);
		return $tabs;
	}

	/**
	 * The product's fields.
	 */
	public static function edit(): void {
		global $post;
		$product = wc_get_product( $post );
		$course  = $product ? Offer::course_of_sku( (string) $product->get_sku() ) : 0;
		echo '<div id="academy-bridge-offer" class="panel woocommerce_options_panel hidden"><div class="options_group">';
		if ( $course ) {
			/* translators: %d: a course's number. */
			echo '<p>' . esc_html( sprintf( __( 'By its SKU this product gives course %d, unless the first field says something else.', 'academy-bridge' ), $course ) ) . '</p>';
		}
		self::inputs( self::POSTED, $product ? self::fields( $product ) : array() );
		echo '</div><p>' . esc_html__( 'Orders that the bridge has seen already keep what they were sold with. Where the bridge\'s own file has an offer for this product, the file counts.', 'academy-bridge' ) . '</p></div>';
	}

	/**
	 * A variation's own fields. What is left empty is as for the whole product.
	 *
	 * @param int                 $loop      The variation's place in the form.
	 * @param array<string,mixed> $data      WooCommerce's.
	 * @param WP_Post             $variation The variation.
	 */
	public static function edit_variation( $loop, $data, $variation ): void {
		$product = wc_get_product( $variation->ID );
		if ( $product ) {
			echo '<div class="academy-bridge-offer"><h4>' . esc_html__( 'In the learning site, where it differs from the whole product', 'academy-bridge' ) . '</h4>';
			self::inputs( self::POSTED_VARIATIONS . '[' . (int) $loop . ']', self::fields( $product ), self::of_parent( $product ) );
			echo '</div>';
		}
	}

	/**
	 * Save the product's fields, when WooCommerce saves the product: it has checked its form and who sent it.
	 *
	 * @param WC_Product $product The product, which is saved afterwards.
	 */
	public static function save( $product ): void {
		// phpcs:ignore WordPress.Security.NonceVerification.Missing, WordPress.Security.ValidatedSanitizedInput -- See above; take() cleans each text.
		self::take( $product, isset( $_POST[ self::POSTED ] ) ? wp_unslash( $_POST[ self::POSTED ] ) : null );
	}

	/**
	 * Save a variation's.
	 *
	 * @param WC_Product $variation The variation, which is saved afterwards.
	 * @param int        $loop      Its place in the form.
	 */
	public static function save_variation( $variation, $loop ): void {
		// phpcs:ignore WordPress.Security.NonceVerification.Missing, WordPress.Security.ValidatedSanitizedInput -- As in save().
		$posted = isset( $_POST[ self::POSTED_VARIATIONS ] ) ? wp_unslash( $_POST[ self::POSTED_VARIATIONS ] ) : null;
		self::take( $variation, is_array( $posted ) && isset( $posted[ $loop ] ) ? $posted[ $loop ] : null );
	}

	/**
	 * Take over what a form brought. What can't be read changes nothing, and is said.
	 *
	 * @param WC_Product $product A product or variation.
	 * @param mixed      $posted  Field => text; anything else where the form had no such fields.
	 */
	private static function take( WC_Product $product, $posted ): void {
		if ( ! is_array( $posted ) ) {
			return;
		}
		$fields = Offer::normal( array_map( 'sanitize_text_field', array_filter( $posted, 'is_string' ) ) );
		$wrong  = Offer::wrong( $fields + self::of_parent( $product ) );
		if ( $wrong ) {
			$names = implode( ', ', array_intersect_key( self::labels(), array_flip( $wrong ) ) );
			/* translators: 1: a product's number, 2: names of fields. */
			\WC_Admin_Meta_Boxes::add_error( sprintf( __( 'What product %1$d gives was not saved. Please look at: %2$s.', 'academy-bridge' ), $product->get_id(), $names ) );
			return;
		}
		foreach ( Offer::FIELDS as $field ) {
			if ( isset( $fields[ $field ] ) ) {
				$product->update_meta_data( $field, $fields[ $field ] );
			} else {
				$product->delete_meta_data( $field );
			}
		}
	}

	/**
	 * A product's own fields, in their normal form.
	 *
	 * @param WC_Product $product A product or variation.
	 * @return array<string,string>
	 */
	private static function fields( WC_Product $product ): array {
		$fields = array();
		foreach ( Offer::FIELDS as $field ) {
			$value            = $product->get_meta( $field );
			$fields[ $field ] = is_scalar( $value ) ? (string) $value : '';
		}
		return Offer::normal( $fields );
	}

	/**
	 * The fields of the product that a variation is of; none for a product.
	 *
	 * @param WC_Product $product A product or variation.
	 * @return array<string,string>
	 */
	private static function of_parent( WC_Product $product ): array {
		$parent = $product->get_parent_id() ? wc_get_product( $product->get_parent_id() ) : false;
		return $parent ? self::fields( $parent ) : array();
	}

	/**
	 * On the product's edit page these fields are in this box only: "Custom fields" would write old values over them.
	 *
	 * @param bool   $is_protected Whether the field is hidden there.
	 * @param string $key          The field.
	 */
	public static function not_twice( $is_protected, $key ) {
		return $is_protected || ( is_admin() && in_array( $key, Offer::FIELDS, true ) );
	}

	/**
	 * Tell on the product's page what it gives.
	 */
	public static function tell(): void {
		global $product;
		$lines = $product instanceof WC_Product && Settings::shows( 'gives' ) ? self::sentences( $product ) : array();
		if ( $lines ) {
			wp_enqueue_style( 'academy-bridge' );
			echo '<ul class="academy-bridge-gives"><li>' . implode( '</li><li>', array_map( 'esc_html', $lines ) ) . '</li></ul>'; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Escaped here.
		}
	}

	/**
	 * What a product gives, in words; nothing if that is nothing or not known.
	 *
	 * @param WC_Product $product The product.
	 * @return string[]
	 */
	private static function sentences( WC_Product $product ): array {
		$items = Product::items( $product );
		if ( ! $items ) {
			return array();
		}
		$courses = count( preg_grep( '/\Acourse:/', $items ) );
		$days    = (int) Product::field( $product, 'bridge_days' );
		$starts  = Product::field( $product, 'bridge_starts' );
		$until   = Product::field( $product, 'bridge_until' );
		$seats   = (int) Product::field( $product, 'bridge_seats' );
		$lines   = array();
		if ( count( $items ) === $courses ) {
			/* translators: %d: number of courses. */
			$lines[] = sprintf( _n( '%d online course', '%d online courses', $courses, 'academy-bridge' ), $courses );
		} else {
			$lines[] = __( 'A programme of online courses', 'academy-bridge' );
		}
		if ( Offer::is_day( $starts ) ) {
			/* translators: %s: a day. */
			$lines[] = sprintf( __( 'Begins on %s', 'academy-bridge' ), self::day( $starts ) );
		}
		if ( $days ) {
			/* translators: %d: number of days. */
			$lines[] = sprintf( _n( 'Access for %d day', 'Access for %d days', $days, 'academy-bridge' ), $days );
		}
		if ( Offer::is_day( $until ) ) {
			/* translators: %s: a day. */
			$lines[] = sprintf( __( 'Access until %s', 'academy-bridge' ), self::day( $until ) );
		}
		if ( $seats > 1 ) {
			/* translators: %d: number of places. */
			$lines[] = sprintf( _n( '%d place', '%d places', $seats, 'academy-bridge' ), $seats );
		}
		return $lines;
	}

	/**
	 * A day as the shop writes days. It is the day itself, in no time zone.
	 *
	 * @param string $day Such as 2027-12-31.
	 */
	private static function day( string $day ): string {
		return (string) wp_date( (string) get_option( 'date_format' ), (int) strtotime( $day . ' 12:00:00 UTC' ), new \DateTimeZone( 'UTC' ) );
	}

	/**
	 * What each field is.
	 *
	 * @return array<string,string>
	 */
	private static function labels(): array {
		return array(
			'bridge_gives'        => __( 'Gives', 'academy-bridge' ),
			'bridge_days'         => __( 'Days of access', 'academy-bridge' ),
			'bridge_starts'       => __( 'First day', 'academy-bridge' ),
			'bridge_until'        => __( 'Last day', 'academy-bridge' ),
			'bridge_seats'        => __( 'Places per unit', 'academy-bridge' ),
			'bridge_for'          => __( 'For whom', 'academy-bridge' ),
			'bridge_pick'         => __( 'One of them for each place', 'academy-bridge' ),
			'bridge_assign_days'  => __( 'Days to give places away', 'academy-bridge' ),
			'bridge_assign_until' => __( 'Last day to give places away', 'academy-bridge' ),
			'bridge_report'       => __( 'Managers see progress', 'academy-bridge' ),
		);
	}

	/**
	 * How each field is written, where that does not go without saying.
	 *
	 * @return array<string,string>
	 */
	private static function helps(): array {
		return array(
			'bridge_gives'       => __( 'Such as course:12, course:14, audience:5, program:7, or nothing. The numbers are the learning site\'s. Empty: by the SKU.', 'academy-bridge' ),
			'bridge_days'        => __( 'From the first enrolment, or from the first day where there is one. Empty: without end.', 'academy-bridge' ),
			'bridge_seats'       => __( 'Empty: one.', 'academy-bridge' ),
			'bridge_for'         => __( 'A team\'s places are given away. Where the buyer may say and does not, one place is the buyer\'s, and several are given away. Where the buyer is asked each time, lists lead to the product\'s page.', 'academy-bridge' ),
			'bridge_pick'        => __( 'Each place gives one of the things, which is picked when the place is given away.', 'academy-bridge' ),
			'bridge_assign_days' => __( 'From the order. Empty: without end.', 'academy-bridge' ),
			'bridge_report'      => __( 'Whoever gives the places away may see how their people get on, without asking each of them.', 'academy-bridge' ),
		);
	}

	/**
	 * The fields of the form.
	 *
	 * @param string                    $name      What they are posted as.
	 * @param array<string,string>      $values    What they hold.
	 * @param array<string,string>|null $inherited For a variation, what holds where it is left empty; else null.
	 */
	private static function inputs( string $name, array $values, ?array $inherited = null ): void {
		$helps = self::helps();
		foreach ( self::labels() as $field => $label ) {
			$input   = array(
				'id'            => sanitize_html_class( strtr( $name, '[]', '__' ) ) . '_' . $field,
				'name'          => $name . '[' . $field . ']',
				'label'         => $label,
				'value'         => $values[ $field ] ?? '',
				'description'   => $helps[ $field ] ?? '',
				'desc_tip'      => isset( $helps[ $field ] ),
				'wrapper_class' => null === $inherited ? '' : 'form-row form-row-full',
			);
			$choices = self::choices( $field, $inherited );
			if ( $choices ) {
				woocommerce_wp_select( array( 'options' => $choices ) + $input );
			} else {
				$kind = self::kind( $field );
				if ( 'date' !== $kind['type'] ) {
					$kind['placeholder'] = $inherited[ $field ] ?? '';
				} elseif ( isset( $inherited[ $field ] ) ) {
					/* translators: %s: what the whole product's field holds. */
					$input['label'] .= ' ' . sprintf( __( '(else %s)', 'academy-bridge' ), $inherited[ $field ] );
				}
				woocommerce_wp_text_input( $kind + $input );
			}
		}
	}

	/**
	 * What a field that is typed looks like.
	 *
	 * @param string $field One of Offer::FIELDS.
	 * @return array<string,mixed>
	 */
	private static function kind( string $field ): array {
		if ( in_array( $field, array( 'bridge_starts', 'bridge_until', 'bridge_assign_until' ), true ) ) {
			return array( 'type' => 'date' );
		}
		if ( 'bridge_gives' === $field ) {
			return array( 'type' => 'text' );
		}
		return array(
			'type'              => 'number',
			'custom_attributes' => array(
				'min'  => 1,
				'max'  => 'bridge_seats' === $field ? Offer::MOST_SEATS : Offer::MOST_DAYS,
				'step' => 1,
			),
		);
	}

	/**
	 * What may be chosen in a field; nothing for one that is typed.
	 *
	 * @param string                    $field     One of Offer::FIELDS.
	 * @param array<string,string>|null $inherited As of inputs().
	 * @return array<string,string>
	 */
	private static function choices( string $field, ?array $inherited ): array {
		if ( 'bridge_for' === $field ) {
			$choices = array(
				''      => __( 'The buyer may say', 'academy-bridge' ),
				'buyer' => __( 'The buyer', 'academy-bridge' ),
				'team'  => __( 'A team', 'academy-bridge' ),
				'ask'   => __( 'The buyer is asked each time', 'academy-bridge' ),
			);
		} elseif ( in_array( $field, array( 'bridge_pick', 'bridge_report' ), true ) ) {
			$choices = array(
				''    => __( 'No', 'academy-bridge' ),
				'yes' => __( 'Yes', 'academy-bridge' ),
			);
			if ( null !== $inherited ) {
				$choices['no'] = $choices[''];
			}
		} else {
			return array();
		}
		if ( null !== $inherited ) {
			/* translators: %s: what is set for the whole product. */
			$choices[''] = sprintf( __( 'As for the whole product: %s', 'academy-bridge' ), $choices[ $inherited[ $field ] ?? '' ] ?? '' );
		}
		return $choices;
	}
}
